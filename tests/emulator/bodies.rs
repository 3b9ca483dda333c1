//! The bodies of requests: compressed ones, and ones that are too large.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::proto::SignBlobRequest;
use gcp_iam_credentials::service_account_path;
use serde_json::Value;
use tonic::Code;
use tonic::codec::CompressionEncoding;

use crate::support::emulator::{EMAIL, http, json, start, stub, with_bearer};

/// The largest body over REST.
const MAX_BODY: usize = 5_657_940;

const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const BEARER: (&str, &str) = ("authorization", "Bearer any");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Returns the path of `signBlob`.
fn sign_blob() -> String {
    format!("/v1/{}:signBlob", service_account_path("-", EMAIL))
}

/// A page of each protocol that reads a body: its method, path, content type, and a body that it accepts.
fn pages(emulator: &Emulator) -> [(&'static str, String, (&'static str, &'static str), String); 4] {
    let grant = "urn:ietf:params:oauth:grant-type:token-exchange";
    let user: Value = serde_json::from_str(&emulator.authorized_user_json("user@example.com")).unwrap();
    let text = |name: &str| user[name].as_str().unwrap();
    let refresh = format!(
        "grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={}",
        text("client_id"),
        text("client_secret"),
        text("refresh_token")
    );
    [
        ("POST", sign_blob(), JSON, r#"{"payload": "aGVsbG8="}"#.to_owned()),
        ("POST", "/token".to_owned(), FORM, refresh),
        ("POST", "/v1/token".to_owned(), JSON, format!(r#"{{"grantType": "{grant}"}}"#)),
        ("PUT", "/emulator/policy".to_owned(), JSON, r#"{"serviceAccounts": {}}"#.to_owned()),
    ]
}

/// conf: S6
#[tokio::test]
async fn a_compressed_body_is_read_on_every_page() {
    let emulator = start().await;
    for (method, path, content_type, body) in pages(&emulator) {
        let url = format!("{}{path}", emulator.endpoint());
        let (plain, expected) = json(method, &url, &[content_type, BEARER], body.clone()).await;
        let headers = [content_type, BEARER, GZIP];
        let (status, reply) = json(method, &url, &headers, gzip(body.as_bytes())).await;
        assert_eq!(status, plain, "{path}: {reply}");
        let shape = |reply: &Value| reply.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(shape(&reply), shape(&expected), "{path}");
        emulator.policy().set(None).unwrap();

        let headers = [content_type, BEARER, ("content-encoding", "br")];
        let (status, reply) = json(method, &url, &headers, body.clone()).await;
        assert_eq!((status, &reply["error"]["status"]), (415, &"INVALID_ARGUMENT".into()), "{path}: {reply}");
        let (status, reply) = json(method, &url, &[content_type, BEARER, GZIP], body).await;
        assert_eq!((status, &reply["error"]["status"]), (400, &"INVALID_ARGUMENT".into()), "{path}: {reply}");
    }
}

/// conf: S7
#[tokio::test]
async fn a_body_that_is_too_large_gets_413_in_googles_format_on_every_page() {
    let emulator = start().await;
    let too_large = vec![b' '; MAX_BODY + 1];
    for (method, path, content_type, _) in pages(&emulator) {
        let url = format!("{}{path}", emulator.endpoint());
        for (headers, body) in [
            (&[content_type, BEARER][..], too_large.clone()),
            // This is a few kilobytes when it is sent.
            (&[content_type, BEARER, GZIP], gzip(&too_large)),
        ] {
            let (status, reply) = json(method, &url, headers, body).await;
            assert_eq!((status, &reply["error"]["code"]), (413, &413.into()), "{path}: {reply}");
            let message = reply["error"]["message"].as_str().unwrap();
            assert!(message.contains("exceeds the limit: 5657940 bytes"), "{message}");
        }
    }
    // The largest bodies are read, on the control pages too.
    let mut largest = br#"{"payload": "aGVsbG8="}"#.to_vec();
    largest.resize(MAX_BODY, b' ');
    let url = format!("{}{}", emulator.endpoint(), sign_blob());
    assert_eq!(http("POST", &url, &[JSON, BEARER], largest).await.0, 200);
    let mut largest = b"null".to_vec();
    largest.resize(MAX_BODY, b' ');
    let url = format!("{}/emulator/policy", emulator.endpoint());
    assert_eq!(http("PUT", &url, &[JSON], largest).await.0, 200);
}

/// conf: S6
#[tokio::test]
async fn messages_over_grpc_may_be_compressed_in_both_directions() {
    let emulator = start().await;
    let request = |payload| {
        let name = service_account_path("-", EMAIL);
        with_bearer(SignBlobRequest { name, payload, ..SignBlobRequest::default() }, "any")
    };
    let mut plain = stub(&emulator);
    let mut compressing = plain.clone().send_compressed(CompressionEncoding::Gzip);
    let reply = compressing.sign_blob(request(vec![0; 100_000])).await.unwrap();
    assert!(reply.metadata().get("grpc-encoding").is_none(), "the client doesn't accept compression");

    let mut accepting = plain.clone().accept_compressed(CompressionEncoding::Gzip);
    let reply = accepting.sign_blob(request(vec![0; 10])).await.unwrap();
    assert_eq!(reply.metadata().get("grpc-encoding").unwrap(), "gzip");

    let huge = compressing.sign_blob(request(vec![0; 20 << 20])).await.unwrap_err();
    assert_eq!(huge.code(), Code::ResourceExhausted, "{huge}");
    let mut unknown = request(vec![0; 10]);
    unknown.metadata_mut().insert("grpc-encoding", "br".parse().unwrap());
    let refusal = plain.sign_blob(unknown).await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unimplemented, "{refusal}");
}
