//! The service: decides between the fast path and the slow one.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::future::ResponseFuture;
use super::layer::{SentToken, Settings};
use super::{BearerError, NoToken};

/// A service whose requests carry a token: what [`BearerLayer`](crate::BearerLayer) makes.
#[derive(Clone, Debug)]
pub struct BearerService<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> BearerService<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
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
        if let Err(error) = self.settings.check(request.uri()) {
            self.release();
            return ResponseFuture::failed(NoToken::new(error));
        }
        let Settings { credentials, stamp, .. } = &*self.settings;
        if let Some(generation) = credentials.show_fresh(|token| stamp.put(request.headers_mut(), token)) {
            let sent = SentToken::Generation(generation);
            return ResponseFuture::sent(self.inner.call(request), sent, Arc::clone(&self.settings));
        }
        match credentials.poll_fast() {
            Some(token) => {
                stamp.put(request.headers_mut(), &token);
                let sent = SentToken::Token(token);
                ResponseFuture::sent(self.inner.call(request), sent, Arc::clone(&self.settings))
            }
            None => {
                self.release();
                ResponseFuture::waiting(self.inner.clone(), request, Arc::clone(&self.settings))
            }
        }
    }
}

impl<S: Clone> BearerService<S> {
    /// Gives back the slot that `poll_ready` took, for it is not used now: a service that is ready
    /// may hold one of few permits, and whoever waits for a token would keep it from all others. A
    /// clone holds none.
    fn release(&mut self) {
        self.inner = self.inner.clone();
    }
}
