//! Connections that send too much, too little, or nothing.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::emulator;
use crate::{get, start, token};

/// Sends bytes, and returns what comes back until the server closes the connection.
async fn send(server: &gcp_iam_credentials::broker::MetadataServer, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let mut reply = Vec::new();
    // The server may have closed the connection before it has read everything.
    let _ = stream.write_all(bytes).await;
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut reply)).await.unwrap();
    String::from_utf8_lossy(&reply).into_owned()
}

/// conf: I16
#[tokio::test]
async fn a_request_that_is_no_request_or_too_large_is_refused() {
    let emulator = emulator::start().await;
    let server = start(&emulator).await;
    let large = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(200));
    for (request, expected) in [
        (&b"\x16\x03\x01\x02\x00 hello"[..], "HTTP/1.1 400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 403"),
        (large.as_bytes(), "HTTP/1.1 431"),
        (many.as_bytes(), "HTTP/1.1 431"),
    ] {
        let reply = send(&server, request).await;
        assert!(reply.starts_with(expected), "{:?}: {reply}", String::from_utf8_lossy(request));
        assert!(!reply.contains("ya29"));
    }
    assert_eq!(get(&server, "instance/name").await.0, 200);
}

/// conf: I16
#[tokio::test]
async fn half_open_connections_do_not_stop_the_server() {
    let emulator = emulator::start().await;
    let server = start(&emulator).await;
    let mut half_open = Vec::new();
    for at in 0..200 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(&b"GET /computeMetadata/v1/ HTTP/1.1\r\n"[..at % 30]).await.unwrap();
        half_open.push(stream);
    }
    token(&server, "").await;
}
