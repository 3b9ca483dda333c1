//! An HTTP client for small requests: any method and headers, no redirects, whole replies of limited
//! size.

#[cfg(feature = "credential-files")]
mod connection;
#[cfg(feature = "credential-files")]
mod connector;
#[cfg(feature = "credential-files")]
mod failure;
#[cfg(feature = "credential-files")]
mod origin;
#[cfg(feature = "credential-files")]
mod pool;
mod reply;
#[cfg(test)]
#[cfg(feature = "credential-files")]
mod tests;
#[cfg(not(feature = "credential-files"))]
mod unavailable;

use std::fmt;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};

#[cfg(feature = "credential-files")]
use self::pool::Pool;
pub(crate) use self::reply::Reply;
#[cfg(not(feature = "credential-files"))]
use self::unavailable::Pool;
use crate::Error;
use crate::environment::variable;
use crate::proxy::Proxies;
use crate::tls::TlsOptions;

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));

/// Sends requests over connections that its clones share.
///
/// A clone is cheap. Creating one needs no runtime and reads nothing: certificates are read, and
/// connections made, when they are first needed. To a server that speaks HTTP/2, all requests of a
/// runtime share one connection.
#[derive(Clone)]
pub(crate) struct HttpClient {
    pool: Arc<Pool>,
}

impl HttpClient {
    /// Returns the client with default settings, which the whole process shares: the usual
    /// certificate authorities, and the proxies of the process's environment.
    pub(crate) fn shared() -> Self {
        static SHARED: LazyLock<HttpClient> =
            LazyLock::new(|| HttpClient::new(TlsOptions::default(), Proxies::from_environment(variable)));
        SHARED.clone()
    }

    /// Creates a client with its own connections.
    pub(crate) fn new(tls: TlsOptions, proxies: Proxies) -> Self {
        Self { pool: Arc::new(Pool::new(tls, proxies)) }
    }

    /// Checks that this client can send requests to `uri`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` that names `field` and the Cargo feature that is missing, or that names the
    /// variable whose value isn't a proxy.
    pub(crate) fn check(&self, uri: &Uri, field: &'static str) -> Result<(), Error> {
        self.pool.check(uri, field)
    }

    /// Replaces the identity that the client shows to servers: certificates and private key in PEM
    /// form. Clones use it too. Requests that are sent from now on use new connections.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if certificate and key can't be used, or don't belong together. The client
    /// keeps its identity then.
    #[cfg_attr(
        not(all(feature = "credential-files", feature = "_tls")),
        allow(dead_code, reason = "only certificates need it")
    )]
    pub(crate) async fn set_client_identity(&self, certificates: &[u8], key: &[u8]) -> Result<(), Error> {
        self.pool.set_client_identity((certificates.to_vec(), key.to_vec())).await
    }

    /// Sends a request to an absolute URL and reads the whole reply, whatever its status is. The
    /// caller bounds the time: dropping the future ends the request.
    ///
    /// The client adds the user agent, if the request has none.
    ///
    /// # Errors
    ///
    /// The host can't be reached, the connection is lost, or the reply is too long.
    pub(crate) async fn send(&self, mut request: Request<Bytes>) -> Result<Reply, SendError> {
        request.headers_mut().entry(header::USER_AGENT).or_insert(USER_AGENT);
        self.pool.send(request).await.map_err(|error| SendError { error })
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

/// Why there is no reply. Whether another attempt may succeed is
/// [`Error::is_transient`](crate::Error::is_transient).
#[derive(Debug)]
pub(crate) struct SendError {
    /// It names the host, and contains no other part of the request or of a reply.
    pub(crate) error: Error,
}
