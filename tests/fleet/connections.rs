//! Connections that send too much, too little, or nothing.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tonic::Code;

use crate::envoy::{check, header};
use crate::support::emulator;
use crate::{OverUnix, SHOP, WEB, broker, over_loopback, web_grant};

/// conf: Y19
#[tokio::test]
async fn a_thousand_half_open_connections_do_not_stop_the_server() {
    let emulator = emulator::start().await;
    let broker = OverUnix::start(&emulator, &[web_grant()]).await;
    // Those that Envoy uses are open before.
    let mut envoy = broker.envoy();
    envoy.check(check(WEB, &[("target", SHOP)])).await.unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut half_open = Vec::new();
    for at in 0..1_000_usize {
        // The server doesn't accept faster than it closes the ones that were unused for long.
        let Ok(Ok(mut stream)) = timeout(Duration::from_millis(100), UnixStream::connect(&broker.path)).await
        else {
            continue;
        };
        let _ = stream.write_all(&preface[..at % preface.len()]).await;
        half_open.push(stream);
    }
    assert!(half_open.len() > 500, "{}", half_open.len());
    let reply = envoy.check(check(WEB, &[("target", SHOP)])).await.unwrap();
    assert!(header(&reply.into_inner()).is_some());
    let mut new = broker.envoy();
    let reply = timeout(Duration::from_secs(20), new.check(check(WEB, &[("target", SHOP)]))).await.unwrap();
    assert!(header(&reply.unwrap().into_inner()).is_some());
}

/// conf: Y19
#[tokio::test]
async fn bytes_that_are_no_request_end_only_their_connection() {
    let emulator = emulator::start().await;
    let broker = OverUnix::start(&emulator, &[web_grant()]).await;
    let large = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    for (bytes, expected) in [
        (&b"\x16\x03\x01\x02\x00 hello\r\n\r\n"[..], "HTTP/1.1 400"),
        (large.as_bytes(), "HTTP/1.1 431"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff", ""),
    ] {
        let mut stream = UnixStream::connect(&broker.path).await.unwrap();
        // The server may have closed the connection before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut reply = Vec::new();
        let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut reply)).await.unwrap();
        let reply = String::from_utf8_lossy(&reply);
        assert!(reply.starts_with(expected), "{reply}");
        assert!(!reply.contains("ya29"));
    }
    assert!(
        header(&broker.envoy().check(check(WEB, &[("target", SHOP)])).await.unwrap().into_inner()).is_some()
    );
}

/// Sends a body as a gRPC message to a path, and returns the status of gRPC.
async fn send(broker: &OverUnix, path: &str, body: impl Into<Bytes>) -> Option<i32> {
    let stream = TokioIo::new(UnixStream::connect(&broker.path).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(body.into()))
        .unwrap();
    let reply = sender.send_request(request).await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    let code = |headers: &http::HeaderMap| {
        headers.get("grpc-status").map(|code| code.to_str().unwrap().parse().unwrap())
    };
    if let Some(code) = code(reply.headers()) {
        return Some(code);
    }
    reply.into_body().collect().await.unwrap().trailers().and_then(code)
}

/// conf: Y19
#[tokio::test]
async fn a_message_that_cannot_be_read_is_an_error_of_grpc() {
    let emulator = emulator::start().await;
    let broker = OverUnix::start(&emulator, &[web_grant()]).await;
    let path = "/envoy.service.auth.v3.Authorization/Check";
    let framed = |message: &[u8]| {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0], &length[..], message].concat()
    };
    for (path, body, expected) in [
        (path, framed(b"\xff\xff\xff\xff"), Code::Internal),
        (path, framed(&[0x0a, 0x05, 0x01]), Code::Internal),
        (path, framed(&vec![0; 300_000]), Code::OutOfRange),
        (path, vec![0, 0, 0], Code::Internal),
        (path, vec![1, 0, 0, 0, 1, 0], Code::Internal),
        ("/envoy.service.auth.v3.Authorization/Other", framed(b""), Code::Unimplemented),
    ] {
        let code = send(&broker, path, body).await.map(Code::from_i32);
        assert!(
            code.is_some_and(|code| code == expected || code == Code::Unimplemented),
            "{expected:?}: {code:?}"
        );
    }
    assert!(
        header(&broker.envoy().check(check(WEB, &[("target", SHOP)])).await.unwrap().into_inner()).is_some()
    );
}

/// conf: Y13, Y19
#[tokio::test]
async fn of_a_client_that_is_no_peer_nothing_is_read() {
    let emulator = emulator::start().await;
    let (_server, address) = over_loopback(broker(&emulator, &[web_grant()])).await;
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    // The message never comes.
    let body = http_body_util::StreamBody::new(tokio_stream::pending::<
        Result<hyper::body::Frame<Bytes>, Infallible>,
    >());
    let request = Request::post("http://localhost/envoy.service.auth.v3.Authorization/Check")
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap();
    let reply = timeout(Duration::from_secs(5), sender.send_request(request)).await.unwrap().unwrap();
    assert_eq!(reply.headers()["grpc-status"], "7");
}
