//! A scripted service on a socket, whose connections can be counted, drained and cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gcp_iam_credentials::{ClientBuilder, IamCredentialsClient};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::scripted_service::{Script, fixed};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    goaway: watch::Sender<u32>,
    stop: watch::Sender<bool>,
}

/// Returns two listeners of one port, for a server and the one that follows it. The port is never free meanwhile, so no
/// other test's server gets it.
pub(crate) fn two_listeners() -> (TcpListener, TcpListener) {
    let first = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    first.set_nonblocking(true).unwrap();
    let second = first.try_clone().unwrap();
    (TcpListener::from_std(first).unwrap(), TcpListener::from_std(second).unwrap())
}

impl Server {
    pub(crate) fn start(script: Script, listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (goaway, drain) = watch::channel(0);
        let (stop, mut stopped) = watch::channel(false);
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = stopped.changed() => return,
                };
                let Ok((socket, _)) = accepted else { continue };
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(socket, script.clone(), drain.clone(), stopped.clone()));
            }
        });
        Self { address, connections, goaway, stop }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns how many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Sends GOAWAY on every connection.
    pub(crate) fn goaway(&self) {
        self.goaway.send_modify(|round| *round += 1);
    }

    /// Cuts every connection and stops listening.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns a client of this server, with a fixed source token.
    pub(crate) fn client(&self) -> IamCredentialsClient {
        self.client_with(IamCredentialsClient::builder())
    }

    pub(crate) fn client_with(&self, builder: ClientBuilder) -> IamCredentialsClient {
        builder.credentials(fixed()).endpoint(self.endpoint()).build().expect("the settings are valid")
    }
}

/// Serves one connection until it ends, is drained, or is cut.
async fn serve(
    socket: TcpStream,
    script: Script,
    mut drain: watch::Receiver<u32>,
    mut stopped: watch::Receiver<bool>,
) {
    let service = hyper::service::service_fn(move |request| script.clone().handle(request));
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(socket), service);
    tokio::pin!(connection);
    // Only a GOAWAY that follows the connection concerns it.
    drain.mark_unchanged();
    let mut draining = false;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            changed = drain.changed(), if !draining => {
                draining = true;
                if changed.is_ok() {
                    connection.as_mut().graceful_shutdown();
                }
            }
            // Drops the socket in the middle of whatever it carries.
            _ = stopped.changed() => return,
        }
    }
}
