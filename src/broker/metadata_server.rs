//! The metadata server.

mod builder;
mod identity;
mod service;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::builder::MetadataServerBuilder;
use crate::pool::PooledImpersonation;

/// A metadata server like that of Compute Engine, whose tokens are those of an impersonation.
///
/// Google's libraries in all languages, and gcloud, get their tokens from such a server if the
/// environment variables `GCE_METADATA_HOST`, `GCE_METADATA_IP` (for Python and Node) and
/// `GCE_METADATA_ROOT` (for gcloud) contain its [`host`](Self::host). So an unmodified program acts as
/// the target, for as long as the server runs.
///
/// # Who gets tokens
///
/// * The server listens on a loopback address only.
/// * On Linux it serves only processes of the user that it runs as. It closes connections of other users
///   without a reply. Other systems don't tell who has connected: see
///   [`is_limited_to_own_user`](Self::is_limited_to_own_user).
/// * As on Compute Engine, a request needs the header `Metadata-Flavor: Google`, and must not have
///   `X-Forwarded-For`. Its host must be a loopback name or address, `metadata.google.internal` or
///   `169.254.169.254`. So web pages in a browser get nothing, not even by DNS rebinding.
/// * With a [`path_prefix`](MetadataServerBuilder::path_prefix), only paths below it are served.
///
/// # Which tokens
///
/// * A token has the server's scopes. A request with `?scopes=` gets those of them that it names. If it
///   names none of them, it is refused, unless the server has the scope `cloud-platform`: then it gets a
///   token with all of the server's scopes, as that scope covers the ones of Google Cloud's APIs. It never
///   gets a scope that the server doesn't have.
/// * ID tokens are for any audience. With `format=full` they contain the e-mail address.
/// * Each set of scopes and each audience is an identity of the pool. The same token is returned
///   until less than [`RENEWAL_MARGIN`](Self::RENEWAL_MARGIN) of its life is left.
/// * If no token can be fetched, a transient failure has the status 503, so that clients try again.
///   Any other one has 403 or 400. The body says why, and what to do.
///
/// Dropping the server stops it.
///
/// ```no_run
/// use gcp_iam_credentials::IamCredentialsClient;
/// use gcp_iam_credentials::broker::MetadataServer;
/// use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
///
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// let client = IamCredentialsClient::new()?;
/// let deployer = client.impersonate("deployer@project.iam.gserviceaccount.com");
/// let server = MetadataServer::builder(deployer).scopes([CLOUD_PLATFORM]).start().await?;
///
/// let status = tokio::process::Command::new("python3")
///     .arg("deploy.py")
///     .env("GCE_METADATA_HOST", server.host())
///     .env("GCE_METADATA_IP", server.host())
///     .status()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping the server stops it"]
pub struct MetadataServer {
    address: SocketAddr,
    host: String,
    is_limited_to_own_user: bool,
    /// Asks the task to finish its replies within this time.
    stop: watch::Sender<Option<Duration>>,
    task: JoinHandle<()>,
}

impl MetadataServer {
    /// The default address: `127.0.0.1` and any free port.
    pub const ADDRESS: SocketAddr = builder::LOOPBACK;

    /// How much of a token's life is left when it is replaced: 330 s, or a quarter of its life if that is
    /// less.
    ///
    /// Compute Engine's server replaces tokens about 300 s before their end. Google's libraries rely on
    /// that: Node's replaces its token 300 s before the end, Python's and Go's 225 s.
    pub const RENEWAL_MARGIN: Duration = super::renewal::MARGIN;

    /// Returns a builder of a server whose tokens come from `impersonation`: an
    /// [`Impersonation`](crate::Impersonation), or one of a pool that others use too.
    pub fn builder(impersonation: impl Into<PooledImpersonation>) -> MetadataServerBuilder {
        MetadataServerBuilder::new(impersonation.into())
    }

    /// Returns the address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the value of `GCE_METADATA_HOST`: the address, and the path prefix if there is one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns whether only processes of the user that the server runs as are served. If not, the
    /// system doesn't tell who has connected, and every user of this machine can get tokens.
    pub fn is_limited_to_own_user(&self) -> bool {
        self.is_limited_to_own_user
    }

    /// Stops accepting connections, waits for the replies to requests in progress, and stops. Waits for
    /// at most `patience`.
    pub async fn stop(mut self, patience: Duration) {
        // If the task has ended, so has the server.
        let _ = self.stop.send(Some(patience));
        let _ = (&mut self.task).await;
    }
}

impl fmt::Debug for MetadataServer {
    /// Doesn't show the path prefix, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataServer")
            .field("address", &self.address)
            .field("is_limited_to_own_user", &self.is_limited_to_own_user)
            .finish_non_exhaustive()
    }
}

impl Drop for MetadataServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
