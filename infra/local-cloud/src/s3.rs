//! Buckets: objects in and out, in path style and in virtual-host style, and the event that tells of a new one.
//!
//! Not here: versions, multipart uploads, ranges, access control, and checksums beyond the ETag.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, Uri, header};
use rusqlite::{OptionalExtension, params};
use serde_json::json;

use crate::clock::Clock;
use crate::dates;
use crate::deliveries::Deliveries;
use crate::event_bridge::{DEFAULT_BUS, EventBridge};
use crate::random::Random;
use crate::sqs::md5_hex;
use crate::stack::Bucket;
use crate::store::Store;
use crate::wire::response;

const XML: &str = "application/xml";
const METADATA_PREFIX: &str = "x-amz-meta-";

pub(crate) struct S3 {
    buckets: BTreeMap<String, Bucket>,
    store: Arc<Store>,
    event_bridge: Arc<EventBridge>,
    deliveries: Arc<Deliveries>,
    random: Arc<Random>,
    clock: Clock,
    account: String,
}

/// What is asked of which object.
struct Asked {
    bucket: String,
    key: String,
    query: BTreeMap<String, String>,
}

struct Object {
    body: Vec<u8>,
    etag: String,
    content_type: String,
    metadata: BTreeMap<String, String>,
    modified_at: i64,
}

struct Refused {
    status: u16,
    code: &'static str,
    message: String,
}

impl S3 {
    pub(crate) fn new(
        buckets: &[Bucket],
        account: &str,
        store: Arc<Store>,
        event_bridge: Arc<EventBridge>,
        deliveries: Arc<Deliveries>,
        random: Arc<Random>,
        clock: Clock,
    ) -> Self {
        let buckets = buckets.iter().map(|bucket| (bucket.name.clone(), bucket.clone())).collect();
        Self { buckets, store, event_bridge, deliveries, random, clock, account: account.into() }
    }

    /// The name of the operation, and its answer.
    pub(crate) fn answer(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> (&'static str, Response<Bytes>) {
        let asked = self.asked(uri, headers);
        let operation = match (method, asked.key.is_empty()) {
            (&Method::GET, true) => "ListObjectsV2",
            (&Method::GET, false) => "GetObject",
            (&Method::PUT, false) => "PutObject",
            (&Method::HEAD, false) => "HeadObject",
            (&Method::DELETE, false) => "DeleteObject",
            _ => "Unknown",
        };
        let answered = self.known(&asked.bucket).and_then(|bucket| match operation {
            "ListObjectsV2" => self.list(bucket, &asked.query),
            "GetObject" => self.get(bucket, &asked.key).map(|object| object_response(&object, true)),
            "HeadObject" => self.get(bucket, &asked.key).map(|object| object_response(&object, false)),
            "PutObject" => self.put_requested(bucket, &asked.key, headers, body),
            "DeleteObject" => self.delete(bucket, &asked.key),
            _ => Err(Refused {
                status: 405,
                code: "MethodNotAllowed",
                message: "The specified method is not allowed against this resource.".into(),
            }),
        });
        let response = answered.unwrap_or_else(|refused| refused.response(method));
        (operation, response)
    }

    fn asked(&self, uri: &Uri, headers: &HeaderMap) -> Asked {
        let host = uri.host().or_else(|| headers.get(header::HOST)?.to_str().ok()).unwrap_or_default();
        let path = decoded(uri.path().trim_start_matches('/'));
        let query = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(&value.replace('+', "%20")))
        });
        let in_host =
            self.buckets.keys().find(|name| host.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.')));
        let (bucket, key) = match in_host {
            Some(bucket) => (bucket.clone(), path),
            None => {
                path.split_once('/').map_or((path.clone(), String::new()), |(bucket, key)| (bucket.into(), key.into()))
            }
        };
        Asked { bucket, key, query: query.collect() }
    }

    fn known(&self, bucket: &str) -> Result<&Bucket, Refused> {
        self.buckets.get(bucket).ok_or_else(|| Refused {
            status: 404,
            code: "NoSuchBucket",
            message: "The specified bucket does not exist".into(),
        })
    }

    fn get(&self, bucket: &Bucket, key: &str) -> Result<Object, Refused> {
        let found = self.store.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT body, etag, content_type, metadata, modified_at FROM objects WHERE bucket = ?1 AND key = ?2",
                )?
                .query_row([&bucket.name, key], |row| {
                    let metadata: String = row.get(3)?;
                    Ok(Object {
                        body: row.get(0)?,
                        etag: row.get(1)?,
                        content_type: row.get(2)?,
                        metadata: serde_json::from_str(&metadata).unwrap_or_default(),
                        modified_at: row.get(4)?,
                    })
                })
                .optional()
        })?;
        found.ok_or_else(|| Refused {
            status: 404,
            code: "NoSuchKey",
            message: "The specified key does not exist.".into(),
        })
    }

    fn put_requested(
        &self,
        bucket: &Bucket,
        key: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Response<Bytes>, Refused> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let is_chunked = text("content-encoding").is_some_and(|encoding| encoding.contains("aws-chunked"))
            || text("x-amz-content-sha256").is_some_and(|sum| sum.starts_with("STREAMING-"));
        let body = if is_chunked {
            unchunked(body).ok_or(Refused {
                status: 400,
                code: "IncompleteBody",
                message: "The chunks of the body do not add up.".into(),
            })?
        } else {
            body.to_vec()
        };
        if text("if-none-match") == Some("*") && self.get(bucket, key).is_ok() {
            return Err(Refused {
                status: 412,
                code: "PreconditionFailed",
                message: "At least one of the pre-conditions you specified did not hold".into(),
            });
        }
        let metadata: BTreeMap<&str, &str> = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().strip_prefix(METADATA_PREFIX)?, value.to_str().ok()?)))
            .collect();
        let content_type = text("content-type").unwrap_or("binary/octet-stream");
        let etag = self.put(bucket, key, &body, content_type, &json!(metadata).to_string())?;
        let mut response = response(200, XML, Vec::new());
        set(response.headers_mut(), "etag", &format!("\"{etag}\""));
        Ok(response)
    }

    /// Keeps an object and owes the event that tells of it, in one. Used by a mapping that gives up a batch, too.
    pub(crate) fn keep(&self, bucket_arn: &str, key: &str, body: &[u8]) -> Result<(), String> {
        let bucket = self
            .buckets
            .values()
            .find(|bucket| bucket.arn == bucket_arn)
            .ok_or_else(|| format!("there is no bucket {bucket_arn}"))?;
        self.put(bucket, key, body, "application/json", "{}").map(drop).map_err(|refused| refused.message)
    }

    fn put(
        &self,
        bucket: &Bucket,
        key: &str,
        body: &[u8],
        content_type: &str,
        metadata: &str,
    ) -> Result<String, Refused> {
        let now_ms = self.clock.now_ms();
        let etag = md5_hex(body);
        self.store.write::<_, rusqlite::Error>(|transaction| {
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO objects (bucket, key, body, etag, content_type, metadata, modified_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![bucket.name, key, body, etag, content_type, metadata, now_ms])?;
            if bucket.tells_event_bridge {
                let detail = json!({
                    "version": "0",
                    "bucket": { "name": bucket.name },
                    "object": { "key": key, "size": body.len(), "etag": etag, "sequencer": format!("{now_ms:016X}") },
                    "request-id": self.random.token()[..16].to_uppercase(),
                    "requester": self.account,
                    "source-ip-address": "127.0.0.1",
                    "reason": "PutObject",
                });
                let event = self.event_bridge.event("aws.s3", "Object Created", now_ms, json!([bucket.arn]), detail);
                self.event_bridge.route(transaction, DEFAULT_BUS, &event, now_ms)?;
            }
            Ok(())
        })?;
        self.deliveries.added();
        Ok(etag)
    }

    fn delete(&self, bucket: &Bucket, key: &str) -> Result<Response<Bytes>, Refused> {
        self.store.read(|connection| {
            connection
                .prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2")?
                .execute([&bucket.name, key])
        })?;
        Ok(response(204, XML, Vec::new()))
    }

    fn list(&self, bucket: &Bucket, query: &BTreeMap<String, String>) -> Result<Response<Bytes>, Refused> {
        let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        let most: i64 = query.get("max-keys").and_then(|most| most.parse().ok()).unwrap_or(1000).clamp(0, 1000);
        let after = query.get("continuation-token").map_or_else(|| text("start-after"), String::as_str);
        let prefix = text("prefix");
        let mut found: Vec<(String, i64, String, i64)> = self.store.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT key, LENGTH(body), etag, modified_at FROM objects
                     WHERE bucket = ?1 AND key > ?2 AND SUBSTR(key, 1, LENGTH(?3)) = ?3 ORDER BY key LIMIT ?4",
                )?
                .query_map(params![bucket.name, after, prefix, most + 1], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })?
                .collect()
        })?;
        let keep = usize::try_from(most).unwrap_or_default();
        let is_truncated = found.len() > keep;
        found.truncate(keep);
        let contents: String = found
            .iter()
            .map(|(key, size, etag, modified_at)| {
                format!(
                    "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                    escaped(key),
                    dates::iso_millis(*modified_at)
                )
            })
            .collect();
        let next = found
            .last()
            .filter(|_| is_truncated)
            .map(|(key, ..)| format!("<NextContinuationToken>{}</NextContinuationToken>", escaped(key)))
            .unwrap_or_default();
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>{}</Name><Prefix>{}</Prefix><KeyCount>{}</KeyCount><MaxKeys>{most}</MaxKeys><IsTruncated>{is_truncated}</IsTruncated>{next}{contents}</ListBucketResult>",
            escaped(&bucket.name),
            escaped(prefix),
            found.len()
        );
        Ok(response(200, XML, xml.into_bytes()))
    }
}

impl Refused {
    fn response(&self, method: &Method) -> Response<Bytes> {
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{}</Code><Message>{}</Message></Error>",
            self.code,
            escaped(&self.message)
        );
        let body = if *method == Method::HEAD { Vec::new() } else { xml.into_bytes() };
        response(self.status, XML, body)
    }
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        tracing::error!(%error, "objects cannot be read or written");
        Self { status: 500, code: "InternalError", message: error.to_string() }
    }
}

fn object_response(object: &Object, with_body: bool) -> Response<Bytes> {
    let mut answer = response(200, XML, if with_body { object.body.clone() } else { Vec::new() });
    let headers = answer.headers_mut();
    set(headers, "content-type", &object.content_type);
    set(headers, "content-length", &object.body.len().to_string());
    set(headers, "etag", &format!("\"{}\"", object.etag));
    set(headers, "last-modified", &dates::http(object.modified_at));
    for (name, value) in &object.metadata {
        set(headers, &format!("{METADATA_PREFIX}{name}"), value);
    }
    answer
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (header::HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Takes the chunks of an `aws-chunked` body apart: a size in hexadecimal, perhaps a signature, the bytes. Trailers
/// (checksums) are not looked at.
fn unchunked(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(out);
        }
        out.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_taken_apart_and_broken_ones_refused() {
        let whole = unchunked(b"3;chunk-signature=x\r\nabc\r\n2\r\nde\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n");
        assert_eq!(whole.as_deref(), Some(b"abcde".as_slice()));
        assert_eq!(unchunked(b"9\r\nabc\r\n0\r\n"), None);
        assert_eq!(unchunked(b"zz\r\n"), None);
    }

    #[test]
    fn percent_escapes_are_decoded_and_other_percents_left() {
        assert_eq!(decoded("a%2Fb%20c"), "a/b c");
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%zz"), "%zz");
    }
}
