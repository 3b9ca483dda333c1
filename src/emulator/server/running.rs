//! A running server: its thread and its listener.

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

use super::serve::open;
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
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl RunningServer {
    pub(crate) fn start(
        listener: StdListener,
        tls: Option<Arc<ServerConfig>>,
        services: Services,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = runtime()?;
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
            // Doesn't wait for a key that is being generated.
            runtime.shutdown_background();
        })?;
        Ok(Self { address, connections, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns how many connections it has accepted.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        drop(self.stop.take());
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
                tokio::spawn(open(stream, tls.clone(), services.clone(), Connection::new(number)));
            }
            // Probably out of file descriptors. Other connections may end meanwhile.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
