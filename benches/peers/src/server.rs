//! The one server that all peers work against, in a process of its own.
//!
//! On one plaintext port it speaks HTTP/1.1 and HTTP/2: `generateAccessToken` as gRPC and as
//! REST, and a token endpoint. It answers with constants, and counts connections and requests.

mod client;
mod mode;
mod reply;

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};

pub use client::Server;
pub use mode::Mode;
use reply::Reply;

use crate::BoxError;

/// The argument that makes a process the server.
pub const SERVE: &str = "serve";

/// What the server counts, and how it answers now.
#[derive(Debug, Default)]
struct State {
    connections: AtomicU64,
    mints: AtomicU64,
    source_tokens: AtomicU64,
    mint_connections: AtomicU64,
    mode: mode::Cell,
    lifetime: AtomicU64,
}

/// What one connection has carried so far.
#[derive(Debug, Default)]
struct Connection {
    known: AtomicBool,
    minted: AtomicBool,
}

/// Prints the server's port, and serves until the standard input ends.
pub fn serve() -> Result<(), BoxError> {
    crate::system::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.spawn(async {
        if let Err(error) = accept().await {
            eprintln!("the server ended: {error}");
            std::process::exit(1);
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    std::process::exit(0);
}

async fn accept() -> Result<(), BoxError> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    // A peer may connect ten thousand times at once.
    let listener: TcpListener = socket.listen(16_384)?;
    println!("{}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    let state = Arc::new(State::default());
    state.lifetime.store(mode::HOUR, Ordering::Relaxed);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream, Arc::clone(&state)));
    }
}

async fn connection(stream: TcpStream, state: Arc<State>) {
    let connection = Arc::new(Connection::default());
    let service = service_fn(move |request| {
        let (state, connection) = (Arc::clone(&state), Arc::clone(&connection));
        async move { Ok::<_, Infallible>(answer(&state, &connection, request).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(1_000);
    // A client that goes away is no failure.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(state: &State, connection: &Connection, request: Request<Incoming>) -> Response<Reply> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if path.starts_with(client::CONTROL) {
        return control(state, path);
    }
    if !connection.known.swap(true, Ordering::Relaxed) {
        state.connections.fetch_add(1, Ordering::Relaxed);
    }
    if body.collect().await.is_err() || parts.method != Method::POST {
        return reply::refused(StatusCode::BAD_REQUEST);
    }
    let kind = if path == reply::GRPC_PATH {
        reply::Kind::Grpc
    } else if path.ends_with(":generateAccessToken") {
        reply::Kind::Rest
    } else if path.ends_with("/token") {
        reply::Kind::SourceToken
    } else {
        return reply::refused(StatusCode::NOT_FOUND);
    };
    count(state, connection, kind);
    match state.mode.get() {
        Mode::Answer => reply::token(kind, state.lifetime.load(Ordering::Relaxed)),
        Mode::Fail => reply::unavailable(kind),
        Mode::Hang => std::future::pending().await,
    }
}

fn count(state: &State, connection: &Connection, kind: reply::Kind) {
    if kind == reply::Kind::SourceToken {
        state.source_tokens.fetch_add(1, Ordering::Relaxed);
        return;
    }
    state.mints.fetch_add(1, Ordering::Relaxed);
    if !connection.minted.swap(true, Ordering::Relaxed) {
        state.mint_connections.fetch_add(1, Ordering::Relaxed);
    }
}

/// Answers `/control/counts`, `/control/mode/MODE` and `/control/lifetime/SECONDS`.
fn control(state: &State, path: &str) -> Response<Reply> {
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    match path.split('/').collect::<Vec<_>>()[..] {
        ["", "control", "counts"] => {
            let counts = [&state.connections, &state.mint_connections, &state.mints, &state.source_tokens];
            reply::text(counts.map(|counter| load(counter).to_string()).join(" "))
        }
        ["", "control", "mode", name] => match name.parse() {
            Ok(mode) => {
                state.mode.set(mode);
                reply::text(String::new())
            }
            Err(_) => reply::refused(StatusCode::BAD_REQUEST),
        },
        ["", "control", "lifetime", seconds] => {
            state.lifetime.store(seconds.parse().unwrap_or(mode::HOUR), Ordering::Relaxed);
            reply::text(String::new())
        }
        _ => reply::refused(StatusCode::NOT_FOUND),
    }
}

/// Bytes of each token, as long as Google's.
pub const TOKEN_BYTES: usize = 1_024;

fn token() -> Bytes {
    Bytes::from("t".repeat(TOKEN_BYTES))
}
