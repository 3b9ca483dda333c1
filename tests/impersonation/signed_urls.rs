//! Signed URLs of Cloud Storage.

use std::time::{Duration, SystemTime};

use gcp_iam_credentials::proto::SignBlobRequest;
use gcp_iam_credentials::signed_url::SignedUrlRequest;
use gcp_iam_credentials::{ErrorKind, RetryPolicy, Signer};
use http::Method;
use sha2::{Digest, Sha256};
use tonic::Code;

use crate::support::accounts::TARGET;
use crate::support::emulator::{client_of, start};
use crate::support::scripted_service::{Answer, Script, builder};
use crate::{DELEGATES, full_names};

fn signer_of(script: &Script) -> Signer {
    script.client().impersonate(TARGET).delegates(DELEGATES).signer().unwrap()
}

fn get() -> SignedUrlRequest {
    SignedUrlRequest::get("bucket", "object")
}

/// conf: U1
#[tokio::test]
async fn a_url_has_a_signature_of_its_text_by_the_target() {
    let emulator = start().await;
    let signer = client_of(&emulator).impersonate(TARGET).signer().unwrap();
    let request = SignedUrlRequest::put("bucket", "a/b c.txt").header("Content-Type", "text/plain");
    let url = signer.signed_url(request).await.unwrap();

    let (base, query) = url.as_str().split_once('?').unwrap();
    assert_eq!(base, "https://storage.googleapis.com/bucket/a/b%20c.txt");
    let (query, signature) = query.rsplit_once("&X-Goog-Signature=").unwrap();
    assert!(query.contains("&X-Goog-SignedHeaders=content-type%3Bhost"), "{query}");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(signature, hex(url.signature().signature()));
    assert!(emulator.verify_blob(TARGET, url.string_to_sign().as_bytes(), url.signature().signature()));
    assert!(url.canonical_request().contains(query));
    assert!(url.string_to_sign().ends_with(&hex(&Sha256::digest(url.canonical_request()))));

    assert_eq!(url.method(), Method::PUT);
    assert_eq!(url.headers().len(), 1);
    assert_eq!(url.headers()["content-type"], "text/plain");
    let left = url.expires_at().duration_since(SystemTime::now()).unwrap();
    assert!(left <= SignedUrlRequest::LIFETIME && left > Duration::from_secs(3500), "{left:?}");
    assert_eq!(url.clone().into_string(), url.as_str());
}

/// conf: U1, P37
#[tokio::test]
async fn the_text_is_signed_with_the_delegates_and_the_options_of_the_call() {
    let script = Script::default();
    let url = signer_of(&script).signed_url(get()).metadata("x-custom", "1").await.unwrap();
    let sent: SignBlobRequest = script.only_request().decode();
    assert_eq!(sent.payload, url.string_to_sign().as_bytes());
    assert_eq!((sent.name, sent.delegates), (format!("projects/-/serviceAccounts/{TARGET}"), full_names()));
    assert_eq!(script.only_request().header("x-custom").unwrap(), "1");
    assert_eq!(url.signature().key_id(), "key-1");
}

/// conf: U1
#[tokio::test]
async fn the_host_is_that_of_the_clients_universe() {
    let script = Script::default();
    let client = script.client_with(builder().universe_domain("example.goog"));
    let elsewhere = client.impersonate(TARGET).signer().unwrap();
    let url = elsewhere.signed_url(get()).await.unwrap();
    assert!(url.as_str().starts_with("https://storage.example.goog/bucket/object?"), "{}", url.as_str());
    let url = elsewhere.signed_url(get().virtual_hosted()).await.unwrap();
    assert!(url.as_str().starts_with("https://bucket.storage.example.goog/object?"), "{}", url.as_str());
}

/// Checks that each request is an error that names the field, and that nothing is sent.
async fn assert_refused(cases: impl IntoIterator<Item = (&str, Vec<SignedUrlRequest>)>) {
    let script = Script::default();
    let signer = signer_of(&script);
    for (field, requests) in cases {
        for request in requests {
            let error = signer.signed_url(request.clone()).await.expect_err(&format!("{request:?}"));
            assert_eq!(error.field(), Some(field), "{request:?}: {error}");
            assert_eq!((error.kind(), error.is_transient()), (ErrorKind::InvalidInput, false));
            let text = error.to_string();
            assert!(text.starts_with(&format!("signed_url for {TARGET}: invalid `")), "{text}");
        }
    }
    assert_eq!(script.calls(), 0);
}

/// conf: U2
#[tokio::test]
async fn an_object_that_no_url_can_name_is_an_error_and_nothing_is_sent() {
    let week = SignedUrlRequest::MAX_LIFETIME;
    let lifetimes =
        [Duration::ZERO, Duration::from_millis(999), week + Duration::from_nanos(1), Duration::MAX];
    let bucket = |bucket: &str| SignedUrlRequest::get(bucket, "object");
    let buckets = ["", ".", "..", "a/b", "a?", "-a", "a.", "ä", " a", "a%2Fb", &"a".repeat(223)].map(bucket);
    let no_hosts = ["A", "a_b", "a..b", "a.-b", &"a".repeat(64), "a.b"].map(bucket);
    let object = |object: &str| SignedUrlRequest::get("bucket", object);
    let objects = ["", ".", "..", "a/../b", "./a", "a/.", "a\nb", "\r", &"ü".repeat(513)].map(object);
    assert_refused([
        ("method", vec![SignedUrlRequest::new(Method::PATCH, "bucket", "object")]),
        ("lifetime", lifetimes.map(|lifetime| get().lifetime(lifetime)).to_vec()),
        ("bucket", buckets.to_vec()),
        ("bucket", no_hosts.map(SignedUrlRequest::virtual_hosted).to_vec()),
        ("object", objects.to_vec()),
    ])
    .await;
}

/// conf: U2
#[tokio::test]
async fn a_host_that_clients_would_read_in_another_way_is_an_error_and_nothing_is_sent() {
    let long = format!("{}.example", "a".repeat(64));
    let hosts = [
        "",
        "ftp://a",
        "https://",
        "https://a/path",
        "a?b",
        "a#b",
        "user@a",
        "a:b",
        "a:99999",
        "a..b",
        "-a",
        "a.",
        "a b",
        "ä.example",
        "1.2.3",
        "0x7f.1",
        "1.2.3.4.5",
        "010.0.0.1",
        "[::1",
        "[::ffff:1.2.3.4]",
        "[fe80::1%25eth0]",
        "a%41",
        "a\nb",
        &long,
    ];
    let bound = hosts.map(|host| get().bucket_bound_host(host));
    assert_refused([
        ("endpoint", hosts.map(|host| get().endpoint(host)).to_vec()),
        ("bucket_bound_host", bound.to_vec()),
        ("endpoint", ["127.0.0.1", "[::1]"].map(|host| get().endpoint(host).virtual_hosted()).to_vec()),
        ("endpoint", vec![get().endpoint("a.example").bucket_bound_host("b.example")]),
        ("virtual_hosted", vec![get().virtual_hosted().bucket_bound_host("b.example")]),
    ])
    .await;
}

/// conf: U2
#[tokio::test]
async fn a_header_or_a_parameter_that_cannot_be_signed_is_an_error_and_nothing_is_sent() {
    let values = ["a\nb", "a\r\n b", "\0", "ü", "\u{7f}"];
    assert_refused([
        ("header[\"\"]", vec![get().header("", "x")]),
        ("header[\"a b\"]", vec![get().header("a b", "x")]),
        ("header[\"a:\"]", vec![get().header("a:", "x")]),
        ("header[\"a;b\"]", vec![get().header("a;b", "x")]),
        ("header[\"a\\nb\"]", vec![get().header("a\nb", "x")]),
        ("header[\"Host\"]", vec![get().header("Host", "b.example")]),
        ("header[\"a\"]", values.map(|value| get().header("a", value)).to_vec()),
        ("query[\"\"]", vec![get().query("", "x")]),
        ("query[\"X-Goog-Date\"]", vec![get().query("X-Goog-Date", "x")]),
        ("query[\"x-goog-EXPIRES\"]", vec![get().query("x-goog-EXPIRES", "9")]),
        ("query[\"X-Goog-Signature\"]", vec![get().query("X-Goog-Signature", "")]),
        ("query[\"X-Amz-Credential\"]", vec![get().query("X-Amz-Credential", "x")]),
        ("query[\"GoogleAccessId\"]", vec![get().query("GoogleAccessId", "x")]),
        ("query[\"a\"]", vec![get().query("a", "1").query("a", "1")]),
    ])
    .await;
}

/// conf: U2
#[tokio::test]
async fn the_limits_themselves_can_be_signed() {
    let script = Script::default();
    let signer = signer_of(&script);
    for (request, part) in [
        (get().lifetime(Duration::from_secs(1)), "X-Goog-Expires=1&"),
        (get().lifetime(SignedUrlRequest::MAX_LIFETIME), "X-Goog-Expires=604800&"),
        (get().query("expires-at", "1"), "&expires-at=1&"),
        (get().query("X-Goog-Meta-A", "1"), "&X-Goog-Meta-A=1&"),
        (SignedUrlRequest::get("bucket", "..."), "/bucket/...?"),
        (SignedUrlRequest::get("bucket", "/a//b/"), "/bucket//a//b/?"),
        (SignedUrlRequest::get("bucket", "ü".repeat(512)), "%C3%BC?"),
        (SignedUrlRequest::get("a".repeat(222), "o"), "a/o?"),
    ] {
        let url = signer.signed_url(request).await.unwrap();
        assert!(url.as_str().contains(part), "{}", url.as_str());
    }
}

#[tokio::test]
async fn a_refusal_to_sign_is_that_of_sign_blob_and_a_loss_is_retried() {
    let script = Script::new([Answer::unavailable(), Answer::status(Code::PermissionDenied, "no")]);
    let error = signer_of(&script).signed_url(get()).await.unwrap_err();
    assert_eq!((error.code(), script.calls()), (Code::PermissionDenied, 2));
    assert!(error.to_string().starts_with("sign_blob for "), "{error}");

    let script = Script::always(Answer::unavailable());
    let error = signer_of(&script).signed_url(get()).retry(RetryPolicy::none()).await.unwrap_err();
    assert_eq!((error.code(), script.calls()), (Code::Unavailable, 1));
    let script = Script::always(Answer::Hang);
    let call = signer_of(&script).signed_url(get()).timeout(Duration::from_millis(50));
    assert_eq!(call.await.unwrap_err().kind(), ErrorKind::Timeout);
}

/// conf: U4
#[tokio::test]
async fn debug_shows_neither_the_signature_nor_values() {
    let script = Script::default();
    let request = get().header("x-goog-encryption-key", "hidden-1").query("token", "hidden-2");
    let call = signer_of(&script).signed_url(request.clone());
    let texts = [format!("{request:?}"), format!("{call:?}")];
    let url = call.await.unwrap();
    let signature = url.as_str().rsplit_once('=').unwrap().1;
    let shown = [format!("{url:?} {:#?} {:?}", url, url.headers())];
    for text in texts.iter().chain(&shown) {
        assert!(text.contains("object") && text.contains("GET"), "{text}");
        assert!(!text.contains("hidden") && !text.contains(signature), "{text}");
    }
    assert!(shown[0].contains("https://storage.googleapis.com/bucket/object"), "{}", shown[0]);
}

/// conf: U1
#[tokio::test]
async fn a_url_can_be_used_from_the_time_of_signing_or_from_another_one() {
    let script = Script::default();
    let before = SystemTime::now() - Duration::from_secs(1);
    let url = signer_of(&script).signed_url(get()).await.unwrap();
    let start = url.expires_at() - SignedUrlRequest::LIFETIME;
    assert!((before..=SystemTime::now()).contains(&start), "{start:?}");

    let later = SystemTime::UNIX_EPOCH + Duration::from_millis(1_798_761_599_999);
    let url = signer_of(&script).signed_url(get().accessible_at(later)).await.unwrap();
    assert!(url.as_str().contains("&X-Goog-Date=20261231T235959Z&"), "{}", url.as_str());
}
