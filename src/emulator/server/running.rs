//! A running server: its thread and its listener.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::open_connections::OpenConnections;
use super::serve::serve_socket;
use super::services::Services;
use crate::emulator::connection::Connection;

/// A running server. It stops when it is dropped.
///
/// It has its own thread and runtime. So it works with blocking clients and with a paused clock. It
/// leaves no task on the client's runtime, and keeps running when that runtime ends.
#[derive(Debug)]
pub(crate) struct RunningServer {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    /// Asks the server to stop after its replies, within this time.
    drain: Option<oneshot::Sender<Duration>>,
    /// Dropped to stop the server at once.
    alive: Option<oneshot::Sender<Infallible>>,
    stopped: oneshot::Receiver<()>,
    thread: Option<thread::JoinHandle<()>>,
}

impl RunningServer {
    pub(crate) fn start(
        listener: StdListener,
        tls: Arc<ServerConfig>,
        services: Services,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = runtime()?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (drain, asked_to_drain) = oneshot::channel();
        let (alive, dropped) = oneshot::channel();
        let (stopping, stopped) = oneshot::channel();
        let counter = Arc::new(AtomicU64::new(0));
        let connections = Arc::clone(&counter);
        let tls = TlsAcceptor::from(tls);
        let thread = thread::Builder::new().name("iam-emulator".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, tls, services, counter, asked_to_drain) => {}
                    _ = dropped => {}
                }
            });
            // Doesn't wait for a key that is being generated.
            runtime.shutdown_background();
            // Nobody waits if the server was dropped.
            let _ = stopping.send(());
        })?;
        Ok(Self {
            address,
            connections,
            drain: Some(drain),
            alive: Some(alive),
            stopped,
            thread: Some(thread),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting connections, waits for the replies to requests in progress, and stops. Waits for
    /// at most `patience`.
    pub(crate) async fn stop_after_replies(mut self, patience: Duration) {
        if let Some(drain) = self.drain.take() {
            // If the thread has ended, so has the server.
            let _ = drain.send(patience);
        }
        let _ = (&mut self.stopped).await;
    }

    /// Returns how many connections it has accepted.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(thread) = self.thread.take() {
            // The port is free when this returns. A panic of the thread has already been printed.
            let _ = thread.join();
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    let cores = thread::available_parallelism().map_or(2, usize::from);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // RSA work runs on these threads. More threads than cores would only slow each other down.
        .max_blocking_threads(cores.max(2))
        .thread_name("iam-emulator-keys")
        .build()
}

/// Serves connections until it is asked to drain, and then until the last reply.
async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    services: Services,
    counter: Arc<AtomicU64>,
    asked_to_drain: oneshot::Receiver<Duration>,
) {
    let mut open = OpenConnections::default();
    let patience = tokio::select! {
        () = accept(&listener, tls, services, counter, &mut open) => return,
        patience = asked_to_drain => patience,
    };
    drop(listener);
    if let Ok(patience) = patience {
        open.drain(patience).await;
    }
}

/// Accepts connections. Never returns.
async fn accept(
    listener: &TcpListener,
    tls: TlsAcceptor,
    services: Services,
    counter: Arc<AtomicU64>,
    open: &mut OpenConnections,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = open.closed() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = Connection::new(counter.fetch_add(1, Ordering::Relaxed) + 1);
                let served = serve_socket(stream, tls.clone(), services.clone(), Arc::clone(&connection));
                open.add(connection, served);
            }
            // Probably out of file descriptors. Other connections may end meanwhile.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
