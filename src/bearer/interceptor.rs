//! The interceptor: adds the token to a tonic client's requests, without a layer.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::HeaderName;
use tonic::service::Interceptor;
use tonic::{Request, Status};

use super::auth_headers::AuthHeaders;
use crate::{Credentials, Error, Token};

/// A tonic interceptor that puts the cached token of [`Credentials`] on every request.
/// [`Credentials::interceptor`] returns it.
///
/// Use it for clients that are made by `with_interceptor`. In all other cases use
/// [`BearerLayer`](crate::BearerLayer), because tonic's interceptors have limits:
///
/// * They can't wait. If no token is cached, the request fails at once. It also starts a fetch, so
///   that a later request succeeds. A token that was rejected is sent until another one is cached.
/// * They see no replies. If an API rejects the token, the caller must
///   [invalidate](Credentials::invalidate) it.
/// * They don't know the destination of a request, so no host is checked.
/// * tonic drops the source of their status. [`last_error`](Self::last_error) returns it.
///
/// ```
/// use gcp_iam_credentials::{Credentials, Token};
/// use tonic::transport::Endpoint;
/// use tonic_health::pb::health_client::HealthClient;
///
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let acting = Credentials::fixed(Token::new("ya29.secret", None)?);
/// let channel = Endpoint::from_static("http://[::1]:1").connect_lazy();
/// let interceptor = acting.interceptor().await?;
/// let client = HealthClient::with_interceptor(channel, interceptor);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct BearerInterceptor {
    credentials: Credentials,
    auth_headers: AuthHeaders,
    last_error: Arc<ArcSwapOption<Error>>,
}

impl BearerInterceptor {
    pub(super) fn new(credentials: Credentials) -> Self {
        let auth_headers = AuthHeaders::new(&credentials);
        Self { credentials, auth_headers, last_error: Arc::default() }
    }

    /// Sets the header that carries the token. Default: `authorization`. See
    /// [`BearerLayer::header_name`](crate::BearerLayer::header_name).
    pub fn header_name(mut self, name: HeaderName) -> Self {
        self.auth_headers.set_token_header(name);
        self
    }

    /// Sets the quota project. Default: that of the credentials. See
    /// [`BearerLayer::quota_project`](crate::BearerLayer::quota_project).
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if `project` is empty or isn't visible ASCII.
    pub fn quota_project(mut self, project: impl AsRef<str>) -> Result<Self, Error> {
        self.auth_headers.set_quota_project(project.as_ref())?;
        Ok(self)
    }

    /// Returns the error of the latest request that got no token, or `None` if every request got one.
    /// Clones of an interceptor share this error.
    pub fn last_error(&self) -> Option<Error> {
        self.last_error.load().as_deref().cloned()
    }

    /// Returns a live token without waiting. If none is cached, starts a fetch and returns an error.
    fn token(&self) -> Result<Token, Error> {
        match self.credentials.poll_fast() {
            Some(token) => Ok(token),
            None => self.credentials.token_without_waiting(),
        }
    }
}

impl Interceptor for BearerInterceptor {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        match self.token() {
            Ok(token) => {
                self.auth_headers.insert(request.metadata_mut().as_mut(), &token);
                Ok(request)
            }
            Err(error) => {
                self.last_error.store(Some(Arc::new(error.clone())));
                Err(Status::from(error))
            }
        }
    }
}

impl fmt::Debug for BearerInterceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerInterceptor")
            .field("credentials", &self.credentials)
            .field("auth_headers", &self.auth_headers)
            .field("last_error", &self.last_error())
            .finish()
    }
}
