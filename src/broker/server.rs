//! The server of a broker.

mod builder;
mod identity;
mod operations;
mod routes;
mod socket;
mod token_exchange;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

pub use self::builder::BrokerServerBuilder;
use self::operations::Health;
pub use self::socket::Socket;
#[cfg(feature = "_tls")]
use super::tls::{ServerTls, Tls};
use super::tokens::Broker;

/// Offers a [`Broker`] to other programs, over protocols that they know.
///
/// | Protocol | Who uses it | Over which sockets |
/// |---|---|---|
/// | metadata server | Google's libraries in all languages, gcloud | loopback, Unix |
/// | token exchange (RFC 8693) at `/token` | gRPC's `sts` credentials, Istio | loopback, Unix, TLS |
/// | `envoy.service.auth.v3.Authorization/Check` | Envoy | Unix, TLS |
/// | `/healthz`, `/readyz`, `/metrics` | Kubernetes, Prometheus | all |
///
/// # Who is asking
///
/// * Over loopback and Unix sockets, the kernel tells the user of the process. Other systems than Linux don't tell it
///   for loopback, so grants with a `uid` don't apply there.
/// * Over TLS, the client's certificate tells its identity: its URI, or else its DNS name.
/// * An Envoy says itself on whose behalf it asks. So a `Check` is accepted only from the policy's `peers`, over a Unix
///   socket or TLS, and from processes of the server's own user over a Unix socket.
///
/// # Which account
///
/// * The route of an Envoy names it in `context_extensions`: `target`, and `scopes` or `audience`.
/// * A client of the metadata server gets the account of its socket, if that has one. Otherwise it gets the one in the
///   path, `/targets/EMAIL/computeMetadata/…`, or else the one of the first grant for it.
/// * A token exchange names it as its `resource`, or gets the same as a client of the metadata server.
///
/// The policy decides in each case. What it refuses is answered with a text that says nothing else.
///
/// Dropping the server stops it.
///
/// ```no_run
/// use gcp_iam_credentials::broker::{Broker, BrokerServer, Policy, Socket};
/// use gcp_iam_credentials::{IamCredentialsClient, ImpersonationPool};
///
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = ImpersonationPool::builder(IamCredentialsClient::new()?).build();
/// let policy = Policy::from_json(&std::fs::read_to_string("policy.json")?)?;
/// let server = BrokerServer::builder(Broker::new(pool, policy))
///     .listen(Socket::unix("/run/iamcreds/broker.sock"))
///     .listen(Socket::loopback("127.0.0.1:8096".parse()?))
///     .start()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping the server stops it"]
pub struct BrokerServer {
    addresses: Vec<SocketAddr>,
    broker: Broker,
    health: Arc<Health>,
    #[cfg(feature = "_tls")]
    tls: Vec<Tls>,
    stop: watch::Sender<Option<Duration>>,
    tasks: JoinSet<()>,
    #[cfg(unix)]
    sockets: Vec<builder::SocketFile>,
}

impl BrokerServer {
    /// Returns a builder of a server for `broker`.
    pub fn builder(broker: Broker) -> BrokerServerBuilder {
        BrokerServerBuilder::new(broker)
    }

    /// Returns the addresses that the server listens on, in the order in which they were set. Unix sockets have none.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns the broker.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Shows another certificate, and accepts those of other authorities, on connections from now on.
    #[cfg(feature = "_tls")]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))))]
    pub fn set_tls(&self, tls: &ServerTls) {
        for listener in &self.tls {
            listener.set(tls.clone());
        }
    }

    /// Says at `/readyz` that the server is ready, or that it isn't. Default: it is.
    pub fn set_ready(&self, is_ready: bool) {
        self.health.set_ready(is_ready);
    }

    /// Stops accepting connections, waits for the replies to requests in progress, and stops. Waits for at most
    /// `patience`.
    ///
    /// `/readyz` says that the server isn't ready. Clients over HTTP/2 hear that they must connect elsewhere.
    pub async fn stop(mut self, patience: Duration) {
        self.set_ready(false);
        // Without a listener there is no receiver.
        let _ = self.stop.send(Some(patience));
        while self.tasks.join_next().await.is_some() {}
    }
}

impl fmt::Debug for BrokerServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerServer")
            .field("addresses", &self.addresses)
            .field("broker", &self.broker)
            .finish_non_exhaustive()
    }
}
