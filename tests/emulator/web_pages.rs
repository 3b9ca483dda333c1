//! Requests of web pages in a browser: Google's APIs are open to all pages, everything else is closed.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Fault};
use gcp_iam_credentials::service_account_path;
use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;

use crate::support::emulator::{EMAIL, http, start};

/// The page of somebody else.
const ORIGIN: (&str, &str) = ("origin", "https://shop.example");

fn url(emulator: &Emulator, path: &str) -> String {
    format!("{}{path}", emulator.endpoint())
}

fn path_of(end: &str) -> String {
    format!("/v1/{}{end}", service_account_path("-", EMAIL))
}

/// Returns the values of a header, joined.
fn text(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap());
    values.collect::<Vec<_>>().join(", ")
}

/// conf: S8
#[tokio::test]
async fn a_web_page_may_call_the_apis_of_credentials_and_read_replies_and_errors() {
    let emulator = start().await;
    for path in
        [path_of(":signBlob"), "/token".to_owned(), "/v1/token".to_owned(), "/oauth2/v3/certs".to_owned()]
    {
        let asks = [
            ORIGIN,
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type,x-goog-user-project"),
        ];
        let (status, headers, body) = http("OPTIONS", &url(&emulator, &path), &asks, "").await;
        assert_eq!((status.as_u16(), body.as_ref()), (200, &b""[..]), "{path}");
        for (name, expected) in [
            ("access-control-allow-origin", ORIGIN.1),
            ("access-control-allow-methods", "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT"),
            ("access-control-allow-headers", "authorization,content-type,x-goog-user-project"),
            ("access-control-max-age", "3600"),
            ("vary", "Origin, X-Origin, Referer"),
        ] {
            assert_eq!(text(&headers, name), expected, "{path}: {name}");
        }
        assert!(!headers.contains_key("access-control-allow-credentials"), "{path}");
    }
    assert!(emulator.journal().entries().is_empty(), "the question isn't a request of the API");

    let (url, json) = (url(&emulator, &path_of(":signBlob")), ("content-type", "application/json"));
    let bearer = ("authorization", "Bearer any");
    for (headers, body, status) in [
        (&[ORIGIN, bearer, json][..], "{}".to_owned(), 200),
        (&[ORIGIN, json], "{}".to_owned(), 401),
        (&[ORIGIN, bearer, json], "{".to_owned(), 400),
        (&[ORIGIN, bearer, json], " ".repeat(6 << 20), 413),
    ] {
        let (got, reply, _) = http("POST", &url, headers, body).await;
        assert_eq!((got.as_u16(), text(&reply, "access-control-allow-origin").as_str()), (status, ORIGIN.1));
        assert!(text(&reply, "access-control-expose-headers").contains("content-length"), "{reply:?}");
    }
    emulator.faults().inject(Fault::status(Code::Unavailable).times(1));
    let (status, reply, _) = http("POST", &url, &[ORIGIN, bearer, json], "{}").await;
    assert_eq!((status.as_u16(), text(&reply, "access-control-allow-origin").as_str()), (503, ORIGIN.1));
    let (_, reply, _) = http("POST", &url, &[bearer, json], "{}").await;
    assert_eq!(text(&reply, "access-control-allow-origin"), "", "no page sent the request");
}

/// conf: A22, S8
#[tokio::test]
async fn a_foreign_web_page_can_neither_use_the_metadata_server_nor_change_the_policy() {
    let emulator = start().await;
    let flavor = ("metadata-flavor", "Google");
    let token = "/computeMetadata/v1/instance/service-accounts/default/token".to_owned();
    for (method, path) in [
        ("GET", token.clone()),
        ("POST", path_of(":setIamPolicy")),
        ("POST", path_of(":testIamPermissions")),
        ("POST", path_of("/keys")),
        ("POST", "/emulator/reset".to_owned()),
    ] {
        let asks = [ORIGIN, ("access-control-request-method", method)];
        let bearer = ("authorization", "Bearer any");
        for (method, headers) in [("OPTIONS", &asks[..]), (method, &[ORIGIN, flavor, bearer])] {
            let (status, reply, body) = http(method, &url(&emulator, &path), headers, "").await;
            assert_eq!(status, 403, "{method} {path}: {body:?}");
            assert!(!reply.contains_key("access-control-allow-origin"), "{method} {path}: {reply:?}");
        }
    }
    // A page of the emulator's own host is no danger, but there is no need for it to read a token either.
    let (status, reply, _) =
        http("GET", &url(&emulator, &token), &[("origin", "http://localhost:3000"), flavor], "").await;
    assert_eq!((status.as_u16(), text(&reply, "access-control-allow-origin").as_str()), (200, ""));
    let (status, ..) = http("GET", &url(&emulator, &token), &[flavor], "").await;
    assert_eq!(status, 200);
}

/// conf: S8
#[tokio::test]
async fn a_preflight_with_a_body_keeps_its_connection() {
    let emulator = start().await;
    let mut socket = tokio::net::TcpStream::connect(emulator.address()).await.unwrap();
    for number in 0..10 {
        let head = b"OPTIONS /token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n";
        socket.write_all(head).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
        socket.write_all(b"{}").await.unwrap();
        let mut reply = Vec::new();
        while !reply.ends_with(b"\r\n\r\n") {
            let byte = socket.read_u8().await.unwrap_or_else(|error| panic!("request {number}: {error}"));
            reply.push(byte);
        }
        assert!(reply.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&reply));
    }
}
