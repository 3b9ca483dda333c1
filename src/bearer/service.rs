//! The service: the fast path, and the decision to wait for a token.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::BearerError;
use super::future::ResponseFuture;
use super::settings::Settings;

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

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.settings.authenticate(&mut request) {
            Ok(Some(token)) => ResponseFuture::sent(self.inner.call(request), self.settings.sent(token)),
            Ok(None) => {
                self.release_slot();
                ResponseFuture::waiting(self.inner.clone(), request, Arc::clone(&self.settings))
            }
            Err(error) => {
                self.release_slot();
                ResponseFuture::failed(error)
            }
        }
    }
}

impl<S: Clone> BearerService<S> {
    /// Releases the slot that `poll_ready` reserved, because the request isn't sent now.
    ///
    /// A ready service may have taken one of a limited number of permits. If it kept the permit while
    /// a request waits for a token, other requests couldn't use it. A clone has no permit.
    #[cold]
    fn release_slot(&mut self) {
        self.inner = self.inner.clone();
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{Pending, pending};

    use tower_layer::Layer;

    use super::*;
    use crate::{Credentials, Token};

    type Outcome = Result<Response<()>, Infallible>;

    /// Replies never.
    #[derive(Clone)]
    struct Silent;

    impl Service<Request<()>> for Silent {
        type Response = Response<()>;
        type Error = Infallible;
        type Future = Pending<Outcome>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            pending()
        }
    }

    /// conf: N10
    #[tokio::test]
    async fn a_request_in_flight_counts_no_reference_to_what_all_threads_share() {
        let credentials = Credentials::from_fn(|| async { Token::new("secret", None) });
        credentials.token().await.unwrap();
        let mut service = credentials.layer().layer(Silent);
        let before = Arc::strong_count(&service.settings);
        let in_flight: Vec<_> = (0..3).map(|_| service.call(Request::new(()))).collect();
        assert_eq!(Arc::strong_count(&service.settings), before);
        assert!(format!("{in_flight:?}").contains("sent"), "{in_flight:?}");
    }

    /// conf: N10
    #[test]
    fn the_state_of_a_request_is_little_larger_than_that_of_the_inner_service() {
        let added = size_of::<ResponseFuture<Silent, ()>>() - size_of::<Pending<Outcome>>();
        assert!(added <= 40, "{added} bytes");
    }
}
