//! The layer and its options.

use std::sync::Arc;

use http::HeaderName;
use tower_layer::Layer;

use super::BearerService;
use super::auth_headers::AuthHeaders;
use super::destination::Destinations;
use super::settings::Settings;
use crate::{Credentials, Error};

/// A tower layer that puts the token of [`Credentials`] on every request. Made by
/// [`Credentials::layer`].
///
/// * While a fresh token is cached, a request costs one look at it and one header: no lock and no
///   allocation. Otherwise the request waits for a token, at most as long as its `grpc-timeout`
///   header allows. While it waits it holds no slot of the inner service.
/// * A header of the same name that is already there is replaced.
/// * If the head of a reply has HTTP status 401 or gRPC status `UNAUTHENTICATED`, the token that
///   was sent is [invalidated](Credentials::invalidate). The layer doesn't send the request again,
///   because requests can't be cloned. The caller's own retry gets the new token.
/// * A request that gets no token isn't sent. It ends with a
///   [`TokenError`](crate::bearer::TokenError).
/// * If the request's URI names a host, the token is sent there only over `https`, or to a loopback
///   address. The requests of a tonic channel name no host: the channel knows it.
///
/// # A retry on `UNAUTHENTICATED`
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
    /// Creates a layer that puts the token of `credentials` into `authorization`.
    pub fn new(credentials: Credentials) -> Self {
        let auth_headers = AuthHeaders::new(&credentials);
        let destinations = Destinations::default();
        Self { settings: Arc::new(Settings { credentials, auth_headers, destinations }) }
    }

    /// Puts the token into another header than `authorization`. The request's own `authorization`
    /// stays as it is.
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

    /// Sets the quota project: the project that requests are counted against, in the header
    /// `x-goog-user-project`. It replaces a project that a request names.
    ///
    /// Default: the credentials' own quota project, if they have one and the request names none.
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

    /// Sends the token only to these hosts, if a request's URI names its host. Several calls add
    /// up.
    ///
    /// A pattern is a host name. With `*.` or `.` in front of a domain it stands for all hosts
    /// under that domain, but not for the domain itself. Upper and lower case are the same, and
    /// patterns have no port. Default: any host.
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

    /// Allows sending the token unencrypted to any host. Default: only to a loopback address.
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
