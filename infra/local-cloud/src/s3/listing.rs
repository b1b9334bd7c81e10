//! What is in a bucket: by prefix, in pages, with what is common up to a delimiter drawn together, in both versions of
//! the request.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use rusqlite::params;

use super::{NAMESPACE, Refused, S3, refused, xml};
use crate::dates;
use crate::stack::Bucket;
use crate::text::{percent_encoded, xml_escaped};

const MOST: usize = 1000;

struct Found {
    key: String,
    size: i64,
    etag: String,
    modified_at: i64,
}

#[derive(Default)]
struct Page {
    objects: Vec<Found>,
    prefixes: Vec<String>,
    /// The last name on the page, if there is more behind it.
    more_after: Option<String>,
}

impl S3 {
    pub(super) fn list(&self, bucket: &Bucket, query: &BTreeMap<String, String>) -> Result<Response<Bytes>, Refused> {
        let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        let is_second = query.contains_key("list-type");
        if is_second && text("list-type") != "2" {
            return Err(refused(400, "InvalidArgument", "Invalid List Type"));
        }
        let most = match query.get("max-keys").map(|most| most.parse::<u32>()) {
            None => MOST,
            Some(Ok(most)) => usize::try_from(most).unwrap_or(MOST).min(MOST),
            Some(Err(_)) => {
                return Err(refused(
                    400,
                    "InvalidArgument",
                    "Provided max-keys not an integer or within integer range",
                ));
            }
        };
        let after = match (is_second, query.get("continuation-token")) {
            (true, Some(token)) => after_token(token)
                .ok_or_else(|| refused(400, "InvalidArgument", "The continuation token provided is incorrect"))?,
            (true, None) => text("start-after").to_owned(),
            (false, _) => text("marker").to_owned(),
        };
        let (prefix, delimiter) = (text("prefix"), text("delimiter"));
        let page = self.page(bucket, prefix, delimiter, &after, most)?;
        let written = |text: &str| match query.get("encoding-type").map(String::as_str) {
            Some("url") => percent_encoded(text),
            _ => xml_escaped(text),
        };
        let element = |name: &str, value: &str| format!("<{name}>{value}</{name}>");
        let mut inner = element("Name", &xml_escaped(&bucket.name)) + &element("Prefix", &written(prefix));
        if !delimiter.is_empty() {
            inner += &element("Delimiter", &written(delimiter));
        }
        if query.get("encoding-type").is_some_and(|kind| kind == "url") {
            inner += "<EncodingType>url</EncodingType>";
        }
        inner += &element("MaxKeys", &most.to_string());
        inner += &element("IsTruncated", &page.more_after.is_some().to_string());
        if is_second {
            inner += &element("KeyCount", &(page.objects.len() + page.prefixes.len()).to_string());
            if let Some(token) = query.get("continuation-token") {
                inner += &element("ContinuationToken", &xml_escaped(token));
            }
            if let Some(last) = &page.more_after {
                inner += &element("NextContinuationToken", &URL_SAFE_NO_PAD.encode(last));
            }
        } else {
            inner += &element("Marker", &written(&after));
            if let Some(last) = &page.more_after {
                inner += &element("NextMarker", &written(last));
            }
        }
        for found in &page.objects {
            inner += &format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>&quot;{}&quot;</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                written(&found.key),
                dates::iso_millis(found.modified_at),
                found.etag,
                found.size
            );
        }
        for prefix in &page.prefixes {
            inner += &format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", written(prefix));
        }
        Ok(xml(&format!("<ListBucketResult xmlns=\"{NAMESPACE}\">{inner}</ListBucketResult>")))
    }

    fn page(&self, bucket: &Bucket, prefix: &str, delimiter: &str, after: &str, most: usize) -> Result<Page, Refused> {
        let page = self.store.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT key, LENGTH(body), etag, modified_at FROM objects
                 WHERE bucket = ?1 AND key > ?2 AND SUBSTR(key, 1, LENGTH(?3)) = ?3 ORDER BY key",
            )?;
            let mut rows = statement.query(params![bucket.name, after, prefix])?;
            let mut page = Page::default();
            let mut last: Option<String> = None;
            while let Some(row) = rows.next()? {
                let key: String = row.get(0)?;
                let common = common_prefix(&key, prefix, delimiter);
                if common.is_some_and(|common| common == after || page.prefixes.last().is_some_and(|p| p == common)) {
                    continue;
                }
                if page.objects.len() + page.prefixes.len() == most {
                    page.more_after = last;
                    break;
                }
                if let Some(common) = common {
                    page.prefixes.push(common.to_owned());
                    last = Some(common.to_owned());
                } else {
                    last = Some(key.clone());
                    page.objects.push(Found { key, size: row.get(1)?, etag: row.get(2)?, modified_at: row.get(3)? });
                }
            }
            Ok(page)
        })?;
        Ok(page)
    }
}

/// What a key has in common with others: all up to the first delimiter behind the prefix, and that.
fn common_prefix<'a>(key: &'a str, prefix: &str, delimiter: &str) -> Option<&'a str> {
    if delimiter.is_empty() {
        return None;
    }
    let at = key.get(prefix.len()..)?.find(delimiter)?;
    key.get(..prefix.len() + at + delimiter.len())
}

fn after_token(token: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()
}
