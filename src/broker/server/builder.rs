//! Configures and starts the server of a broker.

use std::fmt;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::BrokerServer;
use super::operations::{Health, RenderMetrics};
use super::routes::Routes;
use super::socket::{Place, Socket};
use crate::Error;
use crate::broker::connections::serve;
use crate::broker::envoy::Authorization;
use crate::broker::listener::Listener;
use crate::broker::metadata::checked_project;
#[cfg(feature = "_tls")]
use crate::broker::tls::Tls;
use crate::broker::tokens::Broker;
use crate::timers::runtime_with_timers;

/// Configures and starts a [`BrokerServer`]. [`BrokerServer::builder`] returns it.
///
/// ```no_run
/// use gcp_iam_credentials::broker::{Broker, BrokerServer, Socket};
///
/// # async fn serve(broker: Broker) -> Result<(), Box<dyn std::error::Error>> {
/// let server = BrokerServer::builder(broker)
///     .listen(Socket::unix("/run/iamcreds/broker.sock"))
///     .project("my-project")
///     .start()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `start` is called"]
pub struct BrokerServerBuilder {
    broker: Broker,
    sockets: Vec<Socket>,
    project: Option<String>,
    metrics: Option<RenderMetrics>,
}

impl BrokerServerBuilder {
    pub(super) fn new(broker: Broker) -> Self {
        Self { broker, sockets: Vec::new(), project: None, metrics: None }
    }

    /// Listens on a socket, too. At least one is needed.
    pub fn listen(mut self, socket: Socket) -> Self {
        self.sockets.push(socket);
        self
    }

    /// Sets the id of the project that metadata servers say they are in. Default: the project in the
    /// account's e-mail address.
    pub fn project(mut self, id: impl Into<String>) -> Self {
        self.project = Some(id.into());
        self
    }

    /// Sets what `/metrics` returns, in Prometheus' text format. Default: there is no such page.
    pub fn metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Arc::new(render));
        self
    }

    /// Starts the server on the current tokio runtime. Fetches no token.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if there is no socket to listen on, if a socket, its account or the project is invalid, or
    /// if the server can't listen. Returns `Credentials` if there is no tokio runtime
    /// with timers.
    pub async fn start(self) -> Result<BrokerServer, Error> {
        let runtime = runtime_with_timers()?;
        if self.sockets.is_empty() {
            return Err(Error::invalid("sockets", "must have at least one address or path to listen on"));
        }
        let project = self.project.map(checked_project).transpose()?;
        let (stop, asked_to_stop) = watch::channel(None);
        let mut server = BrokerServer {
            addresses: Vec::new(),
            health: Arc::new(Health::new(self.metrics)),
            broker: self.broker,
            #[cfg(feature = "_tls")]
            tls: Vec::new(),
            stop,
            tasks: JoinSet::new(),
            #[cfg(unix)]
            sockets: Vec::new(),
        };
        let authorization = Authorization::server(server.broker.clone());
        for socket in self.sockets {
            let (listener, target) = server.open(socket).await?;
            let routes = Routes {
                broker: server.broker.clone(),
                health: Arc::clone(&server.health),
                authorization: authorization.clone(),
                target,
                project: project.clone(),
            };
            server.tasks.spawn_on(serve(listener, Arc::new(routes), asked_to_stop.clone()), &runtime);
        }
        Ok(server)
    }
}

impl BrokerServer {
    /// Returns the listener of a socket, and the account of all its clients.
    async fn open(&mut self, socket: Socket) -> Result<(Listener, Option<String>), Error> {
        let target = socket.target()?;
        let listener = match &socket.place {
            Place::Loopback(address) => {
                Listener::Loopback { listener: self.bind(*address).await?, only: None }
            }
            #[cfg(unix)]
            Place::Unix(path) => {
                let bound = bind_unix(path, socket.mode());
                let (listener, owner) = bound.map_err(|error| not_listening(&path.display(), &error))?;
                self.sockets.push(SocketFile(path.clone()));
                Listener::Unix { listener, owner }
            }
            #[cfg(feature = "_tls")]
            Place::Tls(address, tls) => {
                let tls = Tls::new(tls.clone());
                self.tls.push(tls.clone());
                Listener::Tls { listener: self.bind(*address).await?, tls }
            }
            Place::Operations(address) => Listener::Open(self.bind(*address).await?),
        };
        Ok((listener, target))
    }

    async fn bind(&mut self, address: SocketAddr) -> Result<TcpListener, Error> {
        let bound = TcpListener::bind(address).await;
        let bound = bound.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = bound.map_err(|error| not_listening(&address, &error))?;
        self.addresses.push(address);
        Ok(listener)
    }
}

fn not_listening(place: &dyn fmt::Display, error: &io::Error) -> Error {
    Error::invalid("address", format!("can't listen on {place}: {error}"))
}

/// Listens on a Unix socket, and returns it with its owner. A socket that a server left behind is replaced.
#[cfg(unix)]
fn bind_unix(path: &Path, mode: u32) -> io::Result<(UnixListener, u32)> {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
    use std::os::unix::net::UnixStream;

    let is_left_behind = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if is_left_behind {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok((listener, fs::symlink_metadata(path)?.uid()))
}

/// The file of a Unix socket. It is removed with the server.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl fmt::Debug for BrokerServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerServerBuilder")
            .field("broker", &self.broker)
            .field("sockets", &self.sockets.len())
            .field("project", &self.project)
            .finish_non_exhaustive()
    }
}
