//! S3: both styles of address, uploads as the SDKs make them, and XML for what is refused.

use crate::support::*;

#[tokio::test]
async fn a_bucket_is_in_the_path_or_before_localhost() {
    let served = Served::start().await;
    let put = Asking::s3("PUT", "/a%20key+%26", b"hello").with("host", "things.localhost:4566");
    assert_eq!(served.ask(&put.with("x-amz-meta-who", "me")).await.status, 200);
    let got = served.ask(&Asking::s3("GET", "/things/a%20key+%26", b"")).await;
    assert_eq!((got.status, got.text(), got.header("x-amz-meta-who")), (200, "hello", "me"));
    let head = served.ask(&Asking::s3("HEAD", "/things/a%20key+%26", b"")).await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "5", 0));
    let elsewhere = served.ask(&Asking::s3("GET", "/things", b"").with("host", "none.localhost")).await;
    assert_eq!(elsewhere.element("Code"), "NoSuchBucket");
}

#[tokio::test]
async fn an_upload_in_chunks_with_its_checksum_behind_is_taken_and_checked() {
    let served = Served::start().await;
    let put = |trailer: &str, length: &str| {
        let body = format!("6\r\n123456\r\n3\r\n789\r\n0\r\n{trailer}\r\n\r\n");
        Asking::s3("PUT", "/things/key", body.as_bytes())
            .with("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .with("content-encoding", "aws-chunked")
            .with("x-amz-decoded-content-length", length)
            .with("x-amz-trailer", "x-amz-checksum-crc32")
    };
    let taken = served.ask(&put("x-amz-checksum-crc32:y/Q5Jg==", "9")).await;
    assert_eq!((taken.status, taken.header("x-amz-checksum-crc32")), (200, "y/Q5Jg=="));
    let get = Asking::s3("GET", "/things/key", b"");
    let got = served.ask(&get.clone().with("x-amz-checksum-mode", "ENABLED")).await;
    assert_eq!((got.text(), got.header("x-amz-checksum-crc32")), ("123456789", "y/Q5Jg=="));
    assert_eq!(served.ask(&get).await.header("x-amz-checksum-crc32"), "", "nobody asked for it");
    let part = served.ask(&get.clone().with("range", "bytes=2-4")).await;
    assert_eq!((part.status, part.text(), part.header("content-range")), (206, "345", "bytes 2-4/9"));
    for (refused, code) in [
        (put("x-amz-checksum-crc32:AAAAAA==", "9"), "BadDigest"),
        (put("x-amz-checksum-crc32:y/Q5Jg==", "8"), "IncompleteBody"),
        (put("no trailer", "9"), "IncompleteBody"),
    ] {
        let answer = served.ask(&refused).await;
        assert_eq!((answer.status, answer.element("Code").as_str()), (400, code), "{answer:?}");
    }
    assert_eq!(served.ask(&get).await.text(), "123456789", "what is refused changes nothing");
}

#[tokio::test]
async fn what_is_not_here_is_refused_and_never_taken_for_something_else() {
    let served = Served::start().await;
    assert_eq!(served.ask(&Asking::s3("PUT", "/things/key", b"kept")).await.status, 200);
    for (method, path, status, code) in [
        ("PUT", "/things/key?tagging", 501, "NotImplemented"),
        ("DELETE", "/things/key?tagging", 501, "NotImplemented"),
        ("DELETE", "/things/key?versionId=1", 501, "NotImplemented"),
        ("POST", "/things/key?uploads", 501, "NotImplemented"),
        ("PUT", "/things/key?partNumber=1&uploadId=1", 501, "NotImplemented"),
        ("PUT", "/things?policy", 501, "NotImplemented"),
        ("PUT", "/another", 501, "NotImplemented"),
        ("PUT", "/things", 409, "BucketAlreadyOwnedByYou"),
        ("DELETE", "/things", 405, "MethodNotAllowed"),
        ("PATCH", "/things/key", 405, "MethodNotAllowed"),
        ("GET", "/things/none", 404, "NoSuchKey"),
        ("GET", "/none/key", 404, "NoSuchBucket"),
        ("GET", "/things?list-type=3", 400, "InvalidArgument"),
        ("GET", "/things?max-keys=many", 400, "InvalidArgument"),
        ("GET", "/things?list-type=2&continuation-token=%20", 400, "InvalidArgument"),
    ] {
        let answer = served.ask(&Asking::s3(method, path, b"<x/>")).await;
        assert_eq!((answer.status, answer.element("Code").as_str()), (status, code), "{method} {path}: {answer:?}");
        assert_eq!(answer.header("content-type"), "application/xml");
    }
    let long = format!("/things/{}", "k".repeat(1_025));
    assert_eq!(served.ask(&Asking::s3("GET", &long, b"")).await.element("Code"), "KeyTooLongError");
    assert_eq!(served.ask(&Asking::s3("POST", "/things?delete", b"no")).await.element("Code"), "MalformedXML");
    let only_new = Asking::s3("PUT", "/things/key", b"new").with("if-none-match", "*");
    assert_eq!(served.ask(&only_new).await.element("Code"), "PreconditionFailed");
    let head = served.ask(&Asking::s3("HEAD", "/things/none", b"")).await;
    assert_eq!((head.status, head.body.len()), (404, 0));
    assert_eq!(served.ask(&Asking::s3("GET", "/things/key", b"")).await.text(), "kept");
}

#[tokio::test]
async fn a_listing_draws_together_what_is_in_a_folder_page_by_page() {
    let served = Served::start().await;
    for key in ["a", "b/1", "b/2", "c/1", "d%20%26"] {
        assert_eq!(served.ask(&Asking::s3("PUT", &format!("/things/x/{key}"), b"1")).await.status, 200);
    }
    let list = async |more: &str| {
        served.ask(&Asking::s3("GET", &format!("/things?prefix=x%2F&delimiter=%2F&{more}"), b"")).await
    };
    let names = |answer: &Answer| -> Vec<String> {
        let (mut found, mut rest) = (Vec::new(), answer.text().split_once("<IsTruncated>").unwrap().1);
        while let Some((_, after)) = rest
            .split_once("<Key>")
            .into_iter()
            .chain(rest.split_once("<CommonPrefixes><Prefix>"))
            .min_by_key(|(before, _)| before.len())
        {
            let (name, after) = after.split_once("</").unwrap();
            found.push(name.to_owned());
            rest = after;
        }
        found
    };
    assert_eq!(names(&list("list-type=2").await), ["x/a", "x/d &amp;", "x/b/", "x/c/"]);
    let (mut pages, mut more) = (Vec::new(), "list-type=2&max-keys=1".to_owned());
    loop {
        let page = list(&more).await;
        pages.extend(names(&page));
        let token = page.element("NextContinuationToken");
        assert_eq!(page.element("IsTruncated") == "true", !token.is_empty());
        if token.is_empty() {
            break;
        }
        more = format!("list-type=2&max-keys=1&continuation-token={token}");
    }
    assert_eq!(pages, ["x/a", "x/b/", "x/c/", "x/d &amp;"], "each once, in order");
    let first = list("max-keys=2&encoding-type=url").await;
    assert_eq!((names(&first), first.element("NextMarker")), (vec!["x/a".into(), "x/b/".into()], "x/b/".into()));
    let second = list("marker=x%2Fb%2F&encoding-type=url").await;
    assert_eq!(names(&second), ["x/d%20%26", "x/c/"], "as the older request goes on");
    let xml = b"<Delete><Object><Key>x/a</Key></Object><Object><Key>x/d &amp;</Key></Object></Delete>";
    let deleted = served.ask(&Asking::s3("POST", "/things?delete", xml)).await;
    assert_eq!(deleted.text().matches("<Deleted>").count(), 2);
    assert_eq!(names(&list("list-type=2").await), ["x/b/", "x/c/"]);
}
