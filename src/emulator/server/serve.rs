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

async fn serve_tls<S>(socket: S, tls: TlsAcceptor, services: Services, connection: Arc<Connection>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use hyper::client::conn::{http1, http2};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::DuplexStream;
    use tokio::time::Instant;
    use tokio_rustls::TlsConnector;

    use super::super::request_body::BODY_TIMEOUT;
    use super::super::trickle::Trickle;
    use super::*;
    use crate::emulator::certificate_authority::CertificateAuthority;
    use crate::emulator::server_certificate::server_config;
    use crate::emulator::state::EmulatorState;
    use crate::own_hosts::OwnHosts;
    use crate::tls::crypto_provider;

    fn services() -> Services {
        Services::new(Arc::new(EmulatorState::new(String::new(), OwnHosts::default(), String::new(), None)))
    }

    /// Serves one end of a pipe as plaintext, and returns the other end.
    fn plaintext() -> DuplexStream {
        let (client, server) = tokio::io::duplex(64 * 1024);
        tokio::spawn(serve(server, services(), Connection::new(1)));
        client
    }

    /// Serves one end of a pipe with TLS, and returns the other end.
    async fn encrypted() -> tokio_rustls::client::TlsStream<DuplexStream> {
        let authority = CertificateAuthority::generate().unwrap();
        let acceptor = TlsAcceptor::from(server_config(&authority, &[]).unwrap());
        let (client, server) = tokio::io::duplex(64 * 1024);
        tokio::spawn(serve_tls(server, acceptor, services(), Connection::new(1)));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(crypto_provider());
        let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
        connector.connect(ServerName::try_from("localhost").unwrap(), client).await.unwrap()
    }

    /// Sends a request whose body never ends, and checks that the reply says so when the time is up.
    async fn check_timeout<S>(stream: S, is_http2: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let start = Instant::now();
        let request = Request::post("http://localhost/token").header("host", "localhost");
        let request = request.body(Trickle::new(None)).unwrap();
        let stream = TokioIo::new(stream);
        let reply = if is_http2 {
            let (mut client, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            tokio::spawn(connection);
            client.send_request(request).await
        } else {
            let (mut client, connection) = http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            client.send_request(request).await
        };
        let reply = reply.unwrap();
        assert_eq!((reply.status().as_u16(), start.elapsed().as_secs()), (408, BODY_TIMEOUT.as_secs()));
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (&body["error"]["code"], &body["error"]["status"]),
            (&408.into(), &"DEADLINE_EXCEEDED".into())
        );
    }

    /// conf: S7
    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_times_out_on_every_kind_of_connection() {
        for is_http2 in [false, true] {
            check_timeout(plaintext(), is_http2).await;
            check_timeout(encrypted().await, is_http2).await;
        }
    }
}
