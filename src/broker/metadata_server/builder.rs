//! Configures and starts a metadata server.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::MetadataServer;
use super::identity::Identity;
use super::service::Service;
use crate::Error;
use crate::broker::connections::serve;
use crate::broker::listener::{Listener, own_user};
use crate::pool::PooledImpersonation;
use crate::scopes::CLOUD_PLATFORM;
use crate::timers::runtime_with_timers;

/// `127.0.0.1` and any free port.
pub(super) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Configures and starts a [`MetadataServer`]. [`MetadataServer::builder`] returns it.
///
/// ```no_run
/// use gcp_iam_credentials::broker::MetadataServer;
/// use gcp_iam_credentials::{Error, IamCredentialsClient, scopes};
///
/// # async fn serve() -> Result<(), Error> {
/// let client = IamCredentialsClient::new()?;
/// let reader = client.impersonate("reader@project.iam.gserviceaccount.com");
/// let server = MetadataServer::builder(reader)
///     .scopes([scopes::STORAGE_READ_ONLY])
///     .project("project")
///     .start()
///     .await?;
/// println!("GCE_METADATA_HOST={}", server.host());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct MetadataServerBuilder {
    impersonation: PooledImpersonation,
    scopes: Vec<String>,
    project: Option<String>,
    address: SocketAddr,
    path_prefix: String,
}

impl MetadataServerBuilder {
    pub(super) fn new(impersonation: PooledImpersonation) -> Self {
        Self {
            impersonation,
            scopes: vec![CLOUD_PLATFORM.to_owned()],
            project: None,
            address: LOOPBACK,
            path_prefix: String::new(),
        }
    }

    /// Sets the scopes of access tokens. Default: [`CLOUD_PLATFORM`].
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.scopes = scopes.into_iter().map(|scope| scope.as_ref().to_owned()).collect();
        self
    }

    /// Sets the id of the project that the server says it is in. Default: the project in the target's
    /// e-mail address.
    pub fn project(mut self, id: impl Into<String>) -> Self {
        self.project = Some(id.into());
        self
    }

    /// Sets the address to listen on, which must be loopback. Port 0 picks a free port. Default:
    /// [`ADDRESS`](MetadataServer::ADDRESS).
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Serves only paths below `/prefix`: letters, digits, `-`, `.`, `_` and `~`. Default: none.
    ///
    /// If the prefix is random and secret, then only programs that know it get tokens. gcloud and the libraries
    /// for Python and Go accept [a host with a path](MetadataServer::host). Node's library drops the path.
    pub fn path_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.path_prefix = prefix.into();
        self
    }

    /// Starts the server on the current tokio runtime. Fetches no token.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if the impersonation, a scope, the project or the prefix is invalid, if the
    /// address isn't loopback, or if the server can't listen on it. Returns `Credentials` if there is
    /// no tokio runtime with timers.
    pub async fn start(self) -> Result<MetadataServer, Error> {
        let prefix = self.checked_prefix()?;
        if !self.address.ip().is_loopback() {
            let problem = format!("must be a loopback address, got {}", self.address.ip());
            return Err(Error::invalid("address", problem));
        }
        let identity = Identity::new(self.impersonation, &self.scopes, self.project)?;
        let runtime = runtime_with_timers()?;
        let bound = TcpListener::bind(self.address).await;
        let bound = bound.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = bound.map_err(|error| not_listening(self.address, &error))?;
        let only = own_user(address);
        let listener = Listener::Loopback { listener, only };
        let service = Arc::new(Service::new(prefix.clone(), identity));
        let (stop, asked_to_stop) = watch::channel(None);
        let task = runtime.spawn(serve(listener, service, asked_to_stop));
        let host = format!("{address}{prefix}");
        Ok(MetadataServer { address, host, is_limited_to_own_user: only.is_some(), stop, task })
    }

    /// Returns the prefix with its slash; empty if there is none.
    fn checked_prefix(&self) -> Result<String, Error> {
        let prefix = &self.path_prefix;
        let is_legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        match prefix.as_str() {
            "" => Ok(String::new()),
            "." | ".." => Err(Error::invalid("path_prefix", "must not be dots")),
            _ if prefix.bytes().all(is_legal) => Ok(format!("/{prefix}")),
            _ => Err(Error::invalid("path_prefix", "must be letters, digits, `-`, `.`, `_` and `~`")),
        }
    }
}

impl fmt::Debug for MetadataServerBuilder {
    /// Doesn't show the path prefix, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataServerBuilder")
            .field("impersonation", &self.impersonation)
            .field("scopes", &self.scopes)
            .field("project", &self.project)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn not_listening(address: SocketAddr, error: &io::Error) -> Error {
    let error = Error::invalid("address", format!("can't listen on {address}: {error}"));
    error.fix_by("choose another port, or port 0 for any free one")
}
