//! Serves one connection.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::services::Services;
use super::socket::Socket;
use crate::emulator::connection::{Connection, ConnectionEnd};
use crate::emulator::faults::Transport;

/// How long a connection stays open after its GOAWAY was queued: 50 ms.
const GOAWAY_TIME: Duration = Duration::from_millis(50);

/// How long a client may take for the head of an HTTP/1 request: 30 s.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may take for its first byte: 30 s.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(30);

/// The first byte of TLS: the type of a record with a handshake. No HTTP request starts with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// How long a client may take for the TLS handshake: 10 s.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many streams one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 10_000;

/// Serves a new connection, plaintext or TLS, until it ends.
pub(super) async fn serve_socket(
    stream: TcpStream,
    tls: TlsAcceptor,
    services: Services,
    connection: Arc<Connection>,
) {
    let first = tokio::select! {
        first = first_byte(&stream) => first,
        _ = connection.ended(None) => return,
    };
    let socket = Socket::new(stream, Arc::clone(&connection));
    match first {
        Some(TLS_HANDSHAKE) => serve_tls(socket, tls, services, connection).await,
        Some(_) => serve(socket, services, connection).await,
        // The client closed the connection, or sent nothing in time.
        None => {}
    }
}

/// Waits for the first byte and leaves it in the stream.
async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut first = [0];
    match tokio::time::timeout(FIRST_BYTE_TIMEOUT, stream.peek(&mut first)).await {
        Ok(Ok(1)) => Some(first[0]),
        Ok(Ok(_) | Err(_)) | Err(_) => None,
    }
}

async fn serve_tls(socket: Socket, tls: TlsAcceptor, services: Services, connection: Arc<Connection>) {
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(socket));
    let socket = tokio::select! {
        socket = handshake => socket,
        _ = connection.ended(None) => return,
    };
    // If the handshake fails or takes too long, the connection is closed.
    if let Ok(Ok(socket)) = socket {
        serve(socket, services, connection).await;
    }
}

async fn serve<S>(socket: S, services: Services, connection: Arc<Connection>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = {
        let connection = Arc::clone(&connection);
        service_fn(move |request: Request<Incoming>| {
            let (services, transport) = (services.clone(), Transport::new(Arc::clone(&connection)));
            async move { Ok::<_, Infallible>(services.handle(request.map(Body::new), transport).await) }
        })
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS);
    let mut served = pin!(builder.serve_connection(TokioIo::new(socket), service));
    let mut requested = None;
    loop {
        let end = tokio::select! {
            // Before the reply of the request that asked for it.
            biased;
            end = connection.ended(requested) => end,
            // A protocol error ends only this connection.
            _ = served.as_mut() => return,
        };
        if end == ConnectionEnd::Reset {
            // Dropping the socket resets the connection.
            return;
        }
        served.as_mut().graceful_shutdown();
        if end == ConnectionEnd::GoAway {
            // Calls that finish in time get their reply. The call with the fault never gets one.
            let _ = tokio::time::timeout(GOAWAY_TIME, served).await;
            return;
        }
        requested = Some(end);
    }
}
