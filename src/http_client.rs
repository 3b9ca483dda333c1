//! An HTTP client for small requests: any method and headers, no redirects, whole replies of limited
//! size.

#[cfg(feature = "credential-files")]
mod connections;
#[cfg(all(feature = "credential-files", feature = "_tls"))]
mod https;
mod reply;
#[cfg(feature = "credential-files")]
mod setup;
#[cfg(not(feature = "credential-files"))]
mod unavailable;

use std::fmt;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};

#[cfg(feature = "credential-files")]
use self::connections::Connections;
pub(crate) use self::reply::Reply;
#[cfg(not(feature = "credential-files"))]
use self::unavailable::Connections;
use crate::Error;

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));

/// Sends requests over connections that its clones share.
///
/// A clone is cheap. Creating one needs no runtime and reads nothing: certificates are read, and
/// connections made, when they are first needed.
#[derive(Clone)]
pub(crate) struct HttpClient {
    connections: Arc<Connections>,
}

impl HttpClient {
    /// Returns the client with default settings, which the whole process shares.
    pub(crate) fn shared() -> Self {
        static SHARED: LazyLock<HttpClient> =
            LazyLock::new(|| HttpClient { connections: Arc::new(Connections::new()) });
        SHARED.clone()
    }

    /// Checks that this build can send requests to `uri`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` that names `field` and the Cargo feature that is missing.
    pub(crate) fn check(&self, uri: &Uri, field: &'static str) -> Result<(), Error> {
        self.connections.check(uri, field)
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
        self.connections.send(request).await
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
