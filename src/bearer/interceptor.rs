//! The token on the requests of one tonic client, without a layer.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use arc_swap::ArcSwapOption;
use http::HeaderName;
use tonic::service::Interceptor;
use tonic::{Request, Status};

use super::NoToken;
use super::stamp::Stamp;
use crate::{Credentials, Error, Token};

/// Puts the cached token of [`Credentials`] on every request of a tonic client.
///
/// Made by [`Credentials::interceptor`], for clients that are made by `with_interceptor`. Less able
/// than [`BearerLayer`](crate::BearerLayer): tonic's interceptors cannot wait, see no reply, and do
/// not know where a request goes. So a request that finds no good token fails at once, though it
/// starts the refresh that lets the next one pass; and a token that an API refuses must be
/// [invalidated](Credentials::invalidate) by the caller.
///
/// tonic drops the source of an interceptor's status: [`last_error`](Self::last_error) keeps it.
///
/// ```
/// use gcp_iam_credentials::{Credentials, Token};
/// use tonic_health::pb::health_client::HealthClient;
///
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let credentials = Credentials::fixed(Token::new("ya29.secret", None)?);
/// # let channel = tonic::transport::Endpoint::from_static("http://[::1]:1").connect_lazy();
/// let client = HealthClient::with_interceptor(channel, credentials.interceptor().await?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct BearerInterceptor {
    credentials: Credentials,
    stamp: Stamp,
    last_error: Arc<ArcSwapOption<Error>>,
}

impl BearerInterceptor {
    pub(super) fn new(credentials: Credentials) -> Self {
        let stamp = Stamp::new(&credentials);
        Self { credentials, stamp, last_error: Arc::default() }
    }

    /// Puts the token into another header, as [`BearerLayer::header_name`](crate::BearerLayer::header_name).
    pub fn header_name(mut self, name: HeaderName) -> Self {
        self.stamp.header_name(name);
        self
    }

    /// Counts requests against this project, as
    /// [`BearerLayer::quota_project`](crate::BearerLayer::quota_project).
    pub fn quota_project(mut self, project: impl AsRef<str>) -> Self {
        self.stamp.quota_project(project.as_ref());
        self
    }

    /// Why the latest of the requests that got no token got none; `None` while all got one. Clones
    /// of an interceptor share it.
    pub fn last_error(&self) -> Option<Error> {
        self.last_error.load().as_deref().cloned()
    }

    /// A good token without waiting for one. Where none is cached, a refresh begins.
    fn token(&self) -> Result<Token, Error> {
        if let Some(token) = self.credentials.poll_fast() {
            return Ok(token);
        }
        match pin!(self.credentials.token()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(token) => token,
            Poll::Pending => Err(Error::credentials(
                "no good token is cached, and an interceptor cannot wait for one",
                true,
            )),
        }
    }
}

impl Interceptor for BearerInterceptor {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        match self.stamp.check().and_then(|()| self.token()) {
            Ok(token) => {
                self.stamp.put(request.metadata_mut().as_mut(), &token);
                Ok(request)
            }
            Err(error) => {
                self.last_error.store(Some(Arc::new(error.clone())));
                Err(NoToken::new(error).into())
            }
        }
    }
}

impl fmt::Debug for BearerInterceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerInterceptor")
            .field("credentials", &self.credentials)
            .field("stamp", &self.stamp)
            .field("last_error", &self.last_error())
            .finish()
    }
}
