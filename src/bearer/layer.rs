//! The layer, and what it is set to.

use std::sync::Arc;

use http::{HeaderName, Response, StatusCode, Uri};
use tower_layer::Layer;

use super::BearerService;
use super::destination::Destinations;
use super::stamp::Stamp;
use crate::headers::GRPC_STATUS;
use crate::{Credentials, Error, Token};

/// The gRPC code as it stands in `grpc-status`.
const UNAUTHENTICATED: &str = "16";

/// Puts the token of [`Credentials`] on every request, as [`Credentials::layer`] says.
///
/// * While a fresh token is cached, a request costs a look at it and a header: no lock, no
///   allocation. Otherwise the request waits for a token, no longer than its `grpc-timeout` header
///   allows, and holds no slot of the wrapped service meanwhile.
/// * A header of that name that is already there is replaced.
/// * A reply with HTTP status 401 or gRPC status `UNAUTHENTICATED` in its head
///   [invalidates](Credentials::invalidate) the token it was sent with. The request is not sent
///   again: the caller's own retry gets the new token.
/// * A request that gets no token is not sent, and ends as [`NoToken`](crate::NoToken).
/// * Where the request's URI names a host, the token goes there over `https`, or to a loopback
///   address. A tonic channel knows its host by itself, and its requests name none.
#[derive(Clone, Debug)]
pub struct BearerLayer {
    settings: Arc<Settings>,
}

/// What the services of one layer share.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) credentials: Credentials,
    pub(super) stamp: Stamp,
    pub(super) destinations: Destinations,
}

/// The token that a request was sent with.
pub(super) enum SentToken {
    /// The cached one, named by its place in the order of those that came.
    Generation(u64),
    Token(Token),
}

impl BearerLayer {
    /// A layer that puts the token of these credentials into `authorization`.
    pub fn new(credentials: Credentials) -> Self {
        let stamp = Stamp::new(&credentials);
        let destinations = Destinations::default();
        Self { settings: Arc::new(Settings { credentials, stamp, destinations }) }
    }

    /// Puts the token into another header than `authorization`, which stays as it is.
    ///
    /// Cloud Run reads `x-serverless-authorization` first, and Identity-Aware Proxy
    /// `proxy-authorization`; both leave `authorization` to the application behind them. With the
    /// latter, HTTP status 407 counts as 401 does.
    ///
    /// ```
    /// # use gcp_iam_credentials::{Credentials, Token};
    /// # let credentials = Credentials::fixed(Token::new("secret", None)?);
    /// use http::HeaderName;
    ///
    /// let layer = credentials.layer().header_name(HeaderName::from_static("x-serverless-authorization"));
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    pub fn header_name(mut self, name: HeaderName) -> Self {
        self.change().stamp.header_name(name);
        self
    }

    /// Counts requests against this project, by the header `x-goog-user-project`, whatever project
    /// a request or the credentials name.
    ///
    /// Without it the credentials' own project is sent, if they have one and the request names none.
    /// A project that cannot stand in a header fails every request, with an [`Error`]
    /// that says so.
    pub fn quota_project(mut self, project: impl AsRef<str>) -> Self {
        self.change().stamp.quota_project(project.as_ref());
        self
    }

    /// Sends the token to these hosts alone, where a request's URI names its host. Calls add up.
    ///
    /// A pattern is a host name, or `*.` or a mere dot before a domain for all hosts under that
    /// domain (and not the domain itself). Case does not matter, and ports have no place in it.
    ///
    /// ```
    /// # use gcp_iam_credentials::{Credentials, Token};
    /// # let credentials = Credentials::fixed(Token::new("secret", None)?);
    /// let layer = credentials.layer().allow_hosts(["*.googleapis.com", "my-service.run.app"]);
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    pub fn allow_hosts(mut self, patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.change().destinations.allow_hosts(patterns);
        self
    }

    /// Sends the token unencrypted too. Without it, only to a loopback address.
    pub fn allow_plaintext(mut self) -> Self {
        self.change().destinations.allow_plaintext();
        self
    }

    fn change(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }
}

impl Settings {
    /// Whether a request for `uri` may be sent with a token.
    #[inline]
    pub(super) fn check(&self, uri: &Uri) -> Result<(), Error> {
        self.stamp.check()?;
        self.destinations.check(uri)
    }

    /// Invalidates the token that a reply says was refused.
    #[inline]
    pub(super) fn watch<R>(&self, reply: &Response<R>, sent: &SentToken) {
        let refused = match reply.status() {
            StatusCode::UNAUTHORIZED => true,
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => self.stamp.is_for_proxies(),
            _ => reply.headers().get(GRPC_STATUS).is_some_and(|code| code == UNAUTHENTICATED),
        };
        if refused {
            tracing::debug!(status = reply.status().as_u16(), "the called API refused the token");
            match sent {
                SentToken::Generation(generation) => self.credentials.invalidate_generation(*generation),
                SentToken::Token(token) => self.credentials.invalidate(token),
            }
        }
    }
}

impl<S> Layer<S> for BearerLayer {
    type Service = BearerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerService::new(inner, Arc::clone(&self.settings))
    }
}
