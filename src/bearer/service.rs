//! The service: the fast path, and the decision to wait for a token.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::future::ResponseFuture;
use super::settings::{SentToken, Settings};
use super::{BearerError, TokenError};

/// A service that puts a token on each request. [`BearerLayer`](crate::BearerLayer) makes it.
///
/// A function that works with any inner service needs the bounds of the generated client, plus
/// `Clone`:
///
/// ```
/// use bytes::Bytes;
/// use gcp_iam_credentials::Credentials;
/// use gcp_iam_credentials::bearer::BearerService;
/// use tonic::body::Body;
/// use tonic_health::pb::health_client::HealthClient;
/// use tower::{Layer, Service};
///
/// type BoxError = Box<dyn std::error::Error + Send + Sync>;
///
/// /// Works with a channel, a balanced channel, a hyper client or a mock.
/// fn client<S, B>(
///     acting: &Credentials,
///     inner: S,
/// ) -> HealthClient<BearerService<S>>
/// where
///     S: Service<http::Request<Body>, Response = http::Response<B>> + Clone,
///     S::Error: Into<BoxError>,
///     B: http_body::Body<Data = Bytes> + Send + 'static,
///     B::Error: Into<BoxError> + Send,
/// {
///     HealthClient::new(acting.layer().layer(inner))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct BearerService<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> BearerService<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service, mutably.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service without the layer.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for BearerService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Response = Response<R>;
    type Error = BearerError<S::Error>;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(BearerError::Inner)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Err(error) = self.settings.destinations.check(request.uri()) {
            self.release_slot();
            return ResponseFuture::failed(TokenError::from(error));
        }
        let Settings { credentials, auth_headers, .. } = &*self.settings;
        let insert = |token: &_| auth_headers.insert(request.headers_mut(), token);
        if let Some(generation) = credentials.show_fresh(insert) {
            return self.send(request, SentToken::Generation(generation));
        }
        if let Some(token) = credentials.poll_fast() {
            auth_headers.insert(request.headers_mut(), &token);
            return self.send(request, SentToken::Token(token));
        }
        self.release_slot();
        ResponseFuture::waiting(self.inner.clone(), request, Arc::clone(&self.settings))
    }
}

impl<S: Clone> BearerService<S> {
    #[inline]
    fn send<B>(&mut self, request: Request<B>, token: SentToken) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        ResponseFuture::sent(self.inner.call(request), token, Arc::clone(&self.settings))
    }

    /// Releases the slot that `poll_ready` reserved, because the request isn't sent now.
    ///
    /// A ready service may have taken one of a limited number of permits. If it kept the permit while
    /// a request waits for a token, other requests couldn't use it. A clone has no permit.
    fn release_slot(&mut self) {
        self.inner = self.inner.clone();
    }
}
