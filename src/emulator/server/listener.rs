//! Sockets: the emulator's own thread, its listener and its connections.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::emulator::server::exchange::{Connection, Ending, Exchange};
use crate::emulator::server::services::Services;

/// How long a connection lives on after its GOAWAY was queued.
const GOODBYE: Duration = Duration::from_millis(50);

/// How long a client may take over the head of an HTTP/1 request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may take over the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many streams one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 10_000;

/// A running server; it stops when dropped.
///
/// It has a thread and a runtime of its own. So it serves blocking callers and callers on a paused
/// clock, leaves no task behind on their runtime, and survives it.
#[derive(Debug)]
pub(crate) struct Running {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(
        listener: StdListener,
        tls: Option<Arc<ServerConfig>>,
        services: Services,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let cores = thread::available_parallelism().map_or(2, usize::from);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // RSA work happens there: more threads than cores would only get in each other's way.
            .max_blocking_threads(cores.max(2))
            .thread_name("iam-emulator-keys")
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let connections = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&connections);
        let tls = tls.map(TlsAcceptor::from);
        let thread = thread::Builder::new().name("iam-emulator".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, tls, services, counter) => {}
                    _ = stopped => {}
                }
            });
            // A key that is being made is nobody's business any more.
            runtime.shutdown_background();
        })?;
        Ok(Self { address, connections, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were accepted so far.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The port is free again once this returns. A panic in there has been reported already.
            let _ = thread.join();
        }
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    services: Services,
    counter: Arc<AtomicU64>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let number = counter.fetch_add(1, Ordering::Relaxed) + 1;
                tokio::spawn(open(stream, tls.clone(), services.clone(), Arc::new(Connection::new(number))));
            }
            // Out of file descriptors, most likely: give the others time to finish.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn open(stream: TcpStream, tls: Option<TlsAcceptor>, services: Services, connection: Arc<Connection>) {
    // Small replies must not wait for each other; a socket that refuses is slower, not wrong.
    let _ = stream.set_nodelay(true);
    let socket = Socket { stream, connection: Arc::clone(&connection) };
    match tls {
        None => serve(socket, services, connection).await,
        Some(tls) => {
            // Who fails to shake hands, or takes its time, has not come to talk.
            if let Ok(Ok(socket)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(socket)).await {
                serve(socket, services, connection).await;
            }
        }
    }
}

async fn serve<S>(socket: S, services: Services, connection: Arc<Connection>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = {
        let connection = Arc::clone(&connection);
        service_fn(move |request: Request<Incoming>| {
            let (services, exchange) = (services.clone(), Exchange::new(Arc::clone(&connection)));
            async move { Ok::<_, Infallible>(services.answer(request.map(Body::new), exchange).await) }
        })
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS);
    let mut served = pin!(builder.serve_connection(TokioIo::new(socket), service));
    let ending = tokio::select! {
        // What a client sends or leaves unsent is its own affair.
        _ = served.as_mut() => None,
        ending = connection.ended() => Some(ending),
    };
    if ending == Some(Ending::GoAway) {
        served.as_mut().graceful_shutdown();
        // Calls that finish by then are answered; the faulted one never is.
        let _ = tokio::time::timeout(GOODBYE, served).await;
    }
}

/// A TCP stream that resets, rather than closes, if it was told to.
struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.connection.ending() == Some(Ending::Reset) {
            // Without it the peer sees a close in place of a reset: a fault all the same.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
