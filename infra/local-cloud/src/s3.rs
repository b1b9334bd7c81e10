//! Buckets: objects in and out, in path style and in virtual-host style, and the event that tells of a new one.
//!
//! Not here: versions, multipart uploads, access control, buckets that a request makes, and the settings of buckets and
//! objects (tags, policies, locks …), each of which is refused by name.

mod checksum;
mod chunks;
mod listing;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, Uri, header};
use rusqlite::{OptionalExtension, params};
use serde_json::json;

use self::checksum::Checksum;
use crate::asked::{pairs, text};
use crate::clock::Clock;
use crate::dates;
use crate::deliveries::Deliveries;
use crate::event_bridge::{DEFAULT_BUS, EventBridge};
use crate::random::Random;
use crate::sqs::md5_hex;
use crate::stack::Bucket;
use crate::store::Store;
use crate::text::{percent_decoded, xml_escaped, xml_unescaped};
use crate::wire::response;

pub(crate) use checksum::crc32;

const XML: &str = "application/xml";
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
const METADATA_PREFIX: &str = "x-amz-meta-";
const LONGEST_KEY_BYTES: usize = 1024;
const MOST_DELETED: usize = 1000;

/// What a request's query may say; whatever else it says asks for something that is not here.
const UNDERSTOOD: [&str; 16] = [
    "bucket-region",
    "continuation-token",
    "delete",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "list-type",
    "location",
    "marker",
    "max-buckets",
    "max-keys",
    "prefix",
    "start-after",
    "AWSAccessKeyId",
    "Signature",
    "Expires",
];

pub(crate) struct S3 {
    buckets: BTreeMap<String, Bucket>,
    store: Arc<Store>,
    event_bridge: Arc<EventBridge>,
    deliveries: Arc<Deliveries>,
    random: Arc<Random>,
    clock: Clock,
    account: String,
    region: String,
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
    checksum: Option<Checksum>,
}

/// An object as it is put.
struct New<'a> {
    body: &'a [u8],
    content_type: &'a str,
    /// As JSON.
    metadata: &'a str,
    checksum: &'a Checksum,
    /// `PutObject` or `CopyObject`, as the event says it.
    reason: &'a str,
}

#[derive(Debug)]
struct Refused {
    status: u16,
    code: &'static str,
    message: String,
}

impl S3 {
    #[expect(clippy::too_many_arguments, reason = "what it is made of, once")]
    pub(crate) fn new(
        buckets: &[Bucket],
        account: &str,
        region: &str,
        store: Arc<Store>,
        event_bridge: Arc<EventBridge>,
        deliveries: Arc<Deliveries>,
        random: Arc<Random>,
        clock: Clock,
    ) -> Self {
        let buckets = buckets.iter().map(|bucket| (bucket.name.clone(), bucket.clone())).collect();
        let (account, region) = (account.into(), region.into());
        Self { buckets, store, event_bridge, deliveries, random, clock, account, region }
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
        let operation = operation(method, &asked, headers);
        let answered = understood(&asked).and_then(|()| match operation {
            "ListBuckets" => Ok(self.list_buckets()),
            "CreateBucket" => self.create_bucket(&asked.bucket),
            _ => self.of_a_bucket(operation, self.known(&asked.bucket)?, &asked, headers, body),
        });
        let response = answered.unwrap_or_else(|refused| refused.response(method, uri));
        (operation, response)
    }

    fn of_a_bucket(
        &self,
        operation: &str,
        bucket: &Bucket,
        asked: &Asked,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Response<Bytes>, Refused> {
        if asked.key.len() > LONGEST_KEY_BYTES {
            return Err(refused(400, "KeyTooLongError", "Your key is too long"));
        }
        match operation {
            "HeadBucket" => {
                let mut found = response(200, XML, Vec::new());
                set(found.headers_mut(), "x-amz-bucket-region", &self.region);
                Ok(found)
            }
            "GetBucketLocation" => {
                let region = xml_escaped(&self.region);
                Ok(xml(&format!("<LocationConstraint xmlns=\"{NAMESPACE}\">{region}</LocationConstraint>")))
            }
            "ListObjects" | "ListObjectsV2" => self.list(bucket, &asked.query),
            "GetObject" => {
                let object = self.get(bucket, &asked.key)?;
                object_response(object, headers, true)
            }
            "HeadObject" => {
                let object = self.get(bucket, &asked.key)?;
                object_response(object, headers, false)
            }
            "PutObject" => self.put_requested(bucket, &asked.key, headers, body),
            "CopyObject" => self.copy(bucket, &asked.key, headers),
            "DeleteObject" => self.delete(bucket, &asked.key).map(|()| response(204, XML, Vec::new())),
            "DeleteObjects" => self.delete_several(bucket, body),
            _ => Err(refused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")),
        }
    }

    fn asked(&self, uri: &Uri, headers: &HeaderMap) -> Asked {
        let host = uri.host().or_else(|| text(headers, "host")).unwrap_or_default();
        let path = percent_decoded(uri.path().strip_prefix('/').unwrap_or(uri.path()));
        let query = pairs(uri.query().unwrap_or_default()).collect();
        let (bucket, key) = match self.bucket_in(host) {
            Some(bucket) => (bucket, path),
            None => {
                path.split_once('/').map_or((path.clone(), String::new()), |(bucket, key)| (bucket.into(), key.into()))
            }
        };
        Asked { bucket, key, query }
    }

    /// Before `.localhost` and `.s3.` anything is a bucket; before another host, what is known as one.
    fn bucket_in(&self, host: &str) -> Option<String> {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        if let Some((bucket, _)) = name.split_once(".s3.") {
            return Some(bucket.to_owned());
        }
        if let Some(bucket) = name.strip_suffix(".localhost").filter(|bucket| *bucket != "s3") {
            return Some(bucket.to_owned());
        }
        let is_before = |bucket: &&String| name.strip_prefix(bucket.as_str()).is_some_and(|rest| rest.starts_with('.'));
        self.buckets.keys().find(is_before).cloned()
    }

    fn list_buckets(&self) -> Response<Bytes> {
        let created = dates::iso_millis(0);
        let buckets: String = self
            .buckets
            .keys()
            .map(|name| {
                format!("<Bucket><Name>{}</Name><CreationDate>{created}</CreationDate></Bucket>", xml_escaped(name))
            })
            .collect();
        let owner = xml_escaped(&self.account);
        xml(&format!(
            "<ListAllMyBucketsResult xmlns=\"{NAMESPACE}\"><Owner><ID>{owner}</ID></Owner><Buckets>{buckets}</Buckets></ListAllMyBucketsResult>"
        ))
    }

    fn create_bucket(&self, bucket: &str) -> Result<Response<Bytes>, Refused> {
        if self.buckets.contains_key(bucket) {
            return Err(refused(
                409,
                "BucketAlreadyOwnedByYou",
                "Your previous request to create the named bucket succeeded and you already own it.",
            ));
        }
        Err(refused(501, "NotImplemented", "Buckets are made from the template here, and not by requests."))
    }

    fn known(&self, bucket: &str) -> Result<&Bucket, Refused> {
        self.buckets.get(bucket).ok_or_else(|| refused(404, "NoSuchBucket", "The specified bucket does not exist"))
    }

    fn get(&self, bucket: &Bucket, key: &str) -> Result<Object, Refused> {
        let found = self.store.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT body, etag, content_type, metadata, modified_at, header, value FROM objects
                     LEFT JOIN checksums USING (bucket, key) WHERE bucket = ?1 AND key = ?2",
                )?
                .query_row([&bucket.name, key], |row| {
                    let metadata: String = row.get(3)?;
                    Ok(Object {
                        body: row.get(0)?,
                        etag: row.get(1)?,
                        content_type: row.get(2)?,
                        metadata: serde_json::from_str(&metadata).unwrap_or_default(),
                        modified_at: row.get(4)?,
                        checksum: row
                            .get::<_, Option<String>>(5)?
                            .zip(row.get(6)?)
                            .map(|(header, value)| Checksum { header, value }),
                    })
                })
                .optional()
        })?;
        found.ok_or_else(|| refused(404, "NoSuchKey", "The specified key does not exist."))
    }

    fn put_requested(
        &self,
        bucket: &Bucket,
        key: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Response<Bytes>, Refused> {
        let (body, trailers) = if chunks::is_chunked(headers) {
            let incomplete = "You did not provide the number of bytes specified by the Content-Length HTTP header";
            let (body, trailers) =
                chunks::taken_apart(body).ok_or_else(|| refused(400, "IncompleteBody", incomplete))?;
            let announced = text(headers, "x-amz-decoded-content-length").and_then(|length| length.parse().ok());
            if announced.is_some_and(|length: usize| length != body.len()) {
                return Err(refused(400, "IncompleteBody", incomplete));
            }
            (body, trailers)
        } else {
            (body.to_vec(), HeaderMap::new())
        };
        let checksum = Checksum::of_upload(headers, &trailers, &body)?;
        self.check_write_conditions(bucket, key, headers)?;
        let content_type = text(headers, "content-type").unwrap_or("binary/octet-stream");
        let metadata = json!(metadata_in(headers)).to_string();
        let new = New { body: &body, content_type, metadata: &metadata, checksum: &checksum, reason: "PutObject" };
        let etag = self.put(bucket, key, &new)?;
        let mut response = response(200, XML, Vec::new());
        set(response.headers_mut(), "etag", &format!("\"{etag}\""));
        set(response.headers_mut(), &checksum.header, &checksum.value);
        set(response.headers_mut(), "x-amz-checksum-type", "FULL_OBJECT");
        Ok(response)
    }

    fn check_write_conditions(&self, bucket: &Bucket, key: &str, headers: &HeaderMap) -> Result<(), Refused> {
        let (absent, as_it_was) = (text(headers, "if-none-match"), text(headers, "if-match"));
        if absent.is_none() && as_it_was.is_none() {
            return Ok(());
        }
        let failed =
            || refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold");
        match (absent, as_it_was) {
            (Some("*"), None) if self.get(bucket, key).is_ok() => Err(failed()),
            (Some("*"), None) => Ok(()),
            (None, Some(etag)) => {
                let there = self.get(bucket, key)?;
                if etag.trim_matches('"') == there.etag { Ok(()) } else { Err(failed()) }
            }
            _ => Err(refused(501, "NotImplemented", "A write's condition is If-None-Match: * or If-Match: an ETag.")),
        }
    }

    fn copy(&self, bucket: &Bucket, key: &str, headers: &HeaderMap) -> Result<Response<Bytes>, Refused> {
        let source = percent_decoded(text(headers, "x-amz-copy-source").unwrap_or_default());
        let (from, from_key) = source.trim_start_matches('/').split_once('/').ok_or_else(|| {
            refused(
                400,
                "InvalidArgument",
                "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            )
        })?;
        let object = self.get(self.known(from)?, from_key)?;
        let checksum = object
            .checksum
            .clone()
            .map_or_else(|| Checksum::of_upload(&HeaderMap::new(), &HeaderMap::new(), &object.body), Ok)?;
        let replaces = text(headers, "x-amz-metadata-directive") == Some("REPLACE");
        let (metadata, content_type) = if replaces {
            (json!(metadata_in(headers)), text(headers, "content-type").unwrap_or("binary/octet-stream"))
        } else {
            (json!(object.metadata), object.content_type.as_str())
        };
        let metadata = metadata.to_string();
        let new =
            New { body: &object.body, content_type, metadata: &metadata, checksum: &checksum, reason: "CopyObject" };
        let etag = self.put(bucket, key, &new)?;
        let modified = dates::iso_millis(self.clock.now_ms());
        Ok(xml(&format!(
            "<CopyObjectResult xmlns=\"{NAMESPACE}\"><LastModified>{modified}</LastModified><ETag>&quot;{etag}&quot;</ETag></CopyObjectResult>"
        )))
    }

    /// Keeps an object and owes the event that tells of it, in one. Used by a mapping that gives up a batch, too.
    pub(crate) fn keep(&self, bucket_arn: &str, key: &str, body: &[u8]) -> Result<(), String> {
        let bucket = self
            .buckets
            .values()
            .find(|bucket| bucket.arn == bucket_arn)
            .ok_or_else(|| format!("there is no bucket {bucket_arn}"))?;
        let none = HeaderMap::new();
        let checksum = Checksum::of_upload(&none, &none, body).map_err(|refused| refused.message)?;
        let new =
            New { body, content_type: "application/json", metadata: "{}", checksum: &checksum, reason: "PutObject" };
        self.put(bucket, key, &new).map(drop).map_err(|refused| refused.message)
    }

    fn put(&self, bucket: &Bucket, key: &str, new: &New<'_>) -> Result<String, Refused> {
        let New { body, content_type, metadata, checksum, reason } = new;
        let now_ms = self.clock.now_ms();
        let etag = md5_hex(body);
        self.store.write::<_, rusqlite::Error>(|transaction| {
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO objects (bucket, key, body, etag, content_type, metadata, modified_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![bucket.name, key, body, etag, content_type, metadata, now_ms])?;
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO checksums (bucket, key, header, value) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![bucket.name, key, checksum.header, checksum.value])?;
            if bucket.tells_event_bridge {
                let detail = json!({
                    "version": "0",
                    "bucket": { "name": bucket.name },
                    "object": { "key": key, "size": body.len(), "etag": etag, "sequencer": format!("{now_ms:016X}") },
                    "request-id": self.random.token()[..16].to_uppercase(),
                    "requester": self.account,
                    "source-ip-address": "127.0.0.1",
                    "reason": reason,
                });
                let event = self.event_bridge.event("aws.s3", "Object Created", now_ms, json!([bucket.arn]), detail);
                self.event_bridge.route(transaction, DEFAULT_BUS, &event, now_ms)?;
            }
            Ok(())
        })?;
        self.deliveries.added();
        Ok(etag)
    }

    /// Deleting what is gone already is fine.
    fn delete(&self, bucket: &Bucket, key: &str) -> Result<(), Refused> {
        self.store.write::<_, rusqlite::Error>(|transaction| {
            for table in ["objects", "checksums"] {
                transaction
                    .prepare_cached(&format!("DELETE FROM {table} WHERE bucket = ?1 AND key = ?2"))?
                    .execute([&bucket.name, key])?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn delete_several(&self, bucket: &Bucket, body: &Bytes) -> Result<Response<Bytes>, Refused> {
        let malformed = || {
            let message = "The XML you provided was not well-formed or did not validate against our published schema";
            refused(400, "MalformedXML", message)
        };
        let body = std::str::from_utf8(body).map_err(|_| malformed())?;
        let keys = elements(body, "Object")
            .map(|object| elements(object, "Key").next().and_then(xml_unescaped))
            .collect::<Option<Vec<_>>>()
            .filter(|keys| (1..=MOST_DELETED).contains(&keys.len()))
            .ok_or_else(malformed)?;
        let is_quiet = elements(body, "Quiet").next() == Some("true");
        let mut deleted = String::new();
        for key in &keys {
            self.delete(bucket, key)?;
            if !is_quiet {
                deleted += &format!("<Deleted><Key>{}</Key></Deleted>", xml_escaped(key));
            }
        }
        Ok(xml(&format!("<DeleteResult xmlns=\"{NAMESPACE}\">{deleted}</DeleteResult>")))
    }
}

/// The operation's name, by what a request says beside its path.
fn operation(method: &Method, asked: &Asked, headers: &HeaderMap) -> &'static str {
    let says = |name: &str| asked.query.contains_key(name);
    match (method, asked.bucket.is_empty(), asked.key.is_empty()) {
        (&Method::GET, true, _) => "ListBuckets",
        (&Method::HEAD, false, true) => "HeadBucket",
        (&Method::PUT, false, true) => "CreateBucket",
        (&Method::POST, false, true) if says("delete") => "DeleteObjects",
        (&Method::GET, false, true) if says("location") => "GetBucketLocation",
        (&Method::GET, false, true) if says("list-type") => "ListObjectsV2",
        (&Method::GET, false, true) => "ListObjects",
        (&Method::GET, false, false) => "GetObject",
        (&Method::PUT, false, false) if headers.contains_key("x-amz-copy-source") => "CopyObject",
        (&Method::PUT, false, false) => "PutObject",
        (&Method::HEAD, false, false) => "HeadObject",
        (&Method::DELETE, false, false) => "DeleteObject",
        _ => "Unknown",
    }
}

fn understood(asked: &Asked) -> Result<(), Refused> {
    let is_understood = |name: &str| {
        UNDERSTOOD.contains(&name)
            || name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"))
            || name == "x-id"
    };
    match asked.query.keys().find(|name| !is_understood(name)) {
        Some(name) => {
            let message = format!("The query parameter {name} implies functionality that is not implemented");
            Err(Refused { status: 501, code: "NotImplemented", message })
        }
        None => Ok(()),
    }
}

fn metadata_in(headers: &HeaderMap) -> BTreeMap<&str, &str> {
    headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().strip_prefix(METADATA_PREFIX)?, value.to_str().ok()?)))
        .collect()
}

/// What stands between the tags of an element, for each of that name; it must not nest within itself.
fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (inner, after) = after.split_once(&close)?;
        rest = after;
        Some(inner)
    })
}

fn refused(status: u16, code: &'static str, message: &str) -> Refused {
    Refused { status, code, message: message.into() }
}

fn xml(document: &str) -> Response<Bytes> {
    response(200, XML, format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{document}").into_bytes())
}

impl Refused {
    fn response(&self, method: &Method, uri: &Uri) -> Response<Bytes> {
        let body = if *method == Method::HEAD {
            Vec::new()
        } else {
            error_xml(self.code, &self.message, uri.path()).into_bytes()
        };
        response(self.status, XML, body)
    }
}

/// An error of S3 that was found out before S3 was asked.
pub(crate) fn error(status: u16, code: &str, message: &str, path: &str) -> Response<Bytes> {
    response(status, XML, error_xml(code, message, path).into_bytes())
}

fn error_xml(code: &str, message: &str, path: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{}</Message><Resource>{}</Resource></Error>",
        xml_escaped(message),
        xml_escaped(&percent_decoded(path))
    )
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        tracing::error!(%error, "objects cannot be read or written");
        Self { status: 500, code: "InternalError", message: error.to_string() }
    }
}

fn object_response(object: Object, headers: &HeaderMap, with_body: bool) -> Result<Response<Bytes>, Refused> {
    let named = |header: &str| text(headers, header).map(|tags| tags == "*" || tags.contains(&object.etag));
    if named("if-match") == Some(false) {
        return Err(refused(
            412,
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold",
        ));
    }
    if named("if-none-match") == Some(true) {
        let mut unchanged = response(304, XML, Vec::new());
        set(unchanged.headers_mut(), "etag", &format!("\"{}\"", object.etag));
        return Ok(unchanged);
    }
    let length = object.body.len();
    let part = text(headers, "range").and_then(|range| requested(range, length)).transpose()?;
    let mut answer = response(if part.is_some() { 206 } else { 200 }, XML, Vec::new());
    let shown = part.clone().unwrap_or(0..length);
    let answered = answer.headers_mut();
    set(answered, "content-type", &object.content_type);
    set(answered, "content-length", &shown.len().to_string());
    set(answered, "accept-ranges", "bytes");
    set(answered, "etag", &format!("\"{}\"", object.etag));
    set(answered, "last-modified", &dates::http(object.modified_at));
    if part.is_some() {
        set(answered, "content-range", &format!("bytes {}-{}/{length}", shown.start, shown.end - 1));
    } else if let Some(checksum) = object.checksum.filter(|_| text(headers, "x-amz-checksum-mode") == Some("ENABLED")) {
        set(answered, &checksum.header, &checksum.value);
        set(answered, "x-amz-checksum-type", "FULL_OBJECT");
    }
    for (name, value) in &object.metadata {
        set(answered, &format!("{METADATA_PREFIX}{name}"), value);
    }
    if with_body {
        *answer.body_mut() = Bytes::from(object.body).slice(shown);
    }
    Ok(answer)
}

/// The bytes that a `Range` asks for. One that cannot be read is as good as none.
fn requested(range: &str, length: usize) -> Option<Result<Range<usize>, Refused>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let part = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last => first..length.min(last.saturating_add(1)),
        (Ok(first), Err(_)) if last.is_empty() => first..length,
        (Err(_), Ok(count)) if first.is_empty() => length.saturating_sub(count)..length,
        _ => return None,
    };
    if part.is_empty() {
        return Some(Err(refused(416, "InvalidRange", "The requested range is not satisfiable")));
    }
    Some(Ok(part))
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (header::HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_what_it_asks_for_or_refused() {
        let of = |range| requested(range, 10).map(|part| part.map_err(|refused| refused.code));
        assert_eq!(of("bytes=0-3"), Some(Ok(0..4)));
        assert_eq!(
            (of("bytes=4-"), of("bytes=8-99"), of("bytes=-3")),
            (Some(Ok(4..10)), Some(Ok(8..10)), Some(Ok(7..10)))
        );
        assert_eq!(of("bytes=10-"), Some(Err("InvalidRange")));
        assert_eq!((of("bytes=5-4"), of("lines=1-2"), of("bytes=x-")), (None, None, None));
    }

    #[test]
    fn elements_are_found_in_their_order() {
        let found: Vec<_> = elements("<D><Key>a</Key><Key>b&amp;c</Key></D>", "Key").collect();
        assert_eq!(found, ["a", "b&amp;c"]);
        assert_eq!(elements("<Key>open", "Key").count(), 0);
    }
}
