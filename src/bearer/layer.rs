//! The layer and its options.

use std::sync::Arc;

use http::HeaderName;
use tower_layer::Layer;

use super::BearerService;
use super::settings::Settings;
use crate::{Credentials, Error};

/// A tower layer that puts the token of [`Credentials`] on every request. [`Credentials::layer`]
/// returns it.
///
/// * While a fresh token is cached, the layer only reads it and sets a header, without a lock or an
///   allocation. A token that is read often is copied once for each thread.
/// * Otherwise the request waits for a token. While it does, it reserves no slot of the inner service.
/// * A request that waited is sent while at least a fifth of its `grpc-timeout` is left, with what is
///   left of it. If there is no token by then, or the inner service isn't ready, it isn't sent, and
///   fails before its timeout is over.
/// * If the token ends or is rejected before the inner service is ready, the request waits for another
///   one.
/// * If the request already has a header of the same name, it is replaced.
/// * If the head of a reply has HTTP status 401 or gRPC status `UNAUTHENTICATED`, the token that
///   was sent is [invalidated](Credentials::invalidate). The layer doesn't send the request again,
///   because a request's body can be read only once. The program's own retry gets the new token.
/// * A request that gets no token isn't sent. It fails with a
///   [`TokenError`](crate::bearer::TokenError).
/// * If the request's URI names a host, the token is sent there only over `https`, or to a loopback
///   address. Requests to a tonic channel name no host, because the channel knows it.
///
/// # A retry after `UNAUTHENTICATED`
///
/// ```
/// use gcp_iam_credentials::bearer::{BearerService, TokenError};
/// use tonic::{Code, Response, Status, transport::Channel};
/// use tonic_health::pb::health_client::HealthClient;
/// use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
///
/// type Client = HealthClient<BearerService<Channel>>;
///
/// async fn check(
///     client: &mut Client,
///     request: HealthCheckRequest,
/// ) -> Result<Response<HealthCheckResponse>, Status> {
///     match client.check(request.clone()).await {
///         // The API rejected the token, and the layer has invalidated it.
///         // If there was no token, another attempt gets none either.
///         Err(status)
///             if status.code() == Code::Unauthenticated
///                 && TokenError::find_in(&status).is_none() =>
///         {
///             client.check(request).await
///         }
///         outcome => outcome,
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct BearerLayer {
    settings: Arc<Settings>,
}

impl BearerLayer {
    /// Creates a layer that puts the token of `credentials` into the header `authorization`.
    pub fn new(credentials: Credentials) -> Self {
        Self { settings: Arc::new(Settings::new(credentials)) }
    }

    /// Sets the header that carries the token. The request's own `authorization` then stays as it is.
    /// Default: `authorization`.
    ///
    /// Cloud Run reads `x-serverless-authorization` first, and Identity-Aware Proxy reads
    /// `proxy-authorization`. Both leave `authorization` to the application behind them. With
    /// `proxy-authorization`, HTTP status 407 invalidates the token as 401 does.
    ///
    /// ```
    /// # use gcp_iam_credentials::{Credentials, Token};
    /// # let acting = Credentials::fixed(Token::new("secret", None)?);
    /// use http::HeaderName;
    ///
    /// let name = HeaderName::from_static("x-serverless-authorization");
    /// let layer = acting.layer().header_name(name);
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    pub fn header_name(mut self, name: HeaderName) -> Self {
        self.settings_mut().auth_headers.set_token_header(name);
        self
    }

    /// Sets the quota project, to which Google attributes the requests. It is sent in the header
    /// `x-goog-user-project`, and replaces a project that a request names.
    ///
    /// Default: the credentials' quota project, if they have one and the request names none.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if `project` is empty or isn't visible ASCII.
    ///
    /// ```
    /// # use gcp_iam_credentials::{Credentials, Token};
    /// # let acting = Credentials::fixed(Token::new("secret", None)?);
    /// let layer = acting.layer().quota_project("billing-project")?;
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    pub fn quota_project(mut self, project: impl AsRef<str>) -> Result<Self, Error> {
        self.settings_mut().auth_headers.set_quota_project(project.as_ref())?;
        Ok(self)
    }

    /// Sends the token only to these hosts. It is checked if a request's URI names a host. Further
    /// calls add to the list. Default: any host.
    ///
    /// A pattern is a host name without a port. A domain with `*.` or `.` in front matches all
    /// hosts under the domain, but not the domain itself. Case doesn't matter. An invalid pattern
    /// matches no host.
    ///
    /// ```
    /// # use gcp_iam_credentials::{Credentials, Token};
    /// # let acting = Credentials::fixed(Token::new("secret", None)?);
    /// let hosts = ["*.googleapis.com", "my-service.run.app"];
    /// let layer = acting.layer().allow_hosts(hosts);
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    pub fn allow_hosts(mut self, patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.settings_mut().destinations.allow_hosts(patterns);
        self
    }

    /// Allows requests to send the token unencrypted to any host. Default: only to a loopback address.
    pub fn allow_plaintext(mut self) -> Self {
        self.settings_mut().destinations.allow_plaintext();
        self
    }

    fn settings_mut(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }
}

impl<S> Layer<S> for BearerLayer {
    type Service = BearerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerService::new(inner, Arc::clone(&self.settings))
    }
}
