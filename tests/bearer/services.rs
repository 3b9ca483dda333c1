//! Services around which tests put the layer.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use gcp_iam_credentials::{BearerLayer, Credentials, Token};
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::time::{Sleep, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::services::echo;

pub(crate) fn fixed(secret: &str) -> Credentials {
    Credentials::fixed(Token::new(secret, None).unwrap())
}

/// Replies to every request with this status.
pub(crate) fn replies(
    status: StatusCode,
    grpc_status: Option<&'static str>,
) -> impl Service<Request<()>, Response = Response<()>, Error = Infallible> + Clone {
    service_fn(move |_: Request<()>| async move {
        let mut reply = Response::builder().status(status);
        if let Some(code) = grpc_status {
            reply = reply.header("grpc-status", code);
        }
        Ok(reply.body(()).unwrap())
    })
}

/// Becomes ready only after this time, each time.
pub(crate) struct ReadyAfter {
    delay: Duration,
    wait: Option<Pin<Box<Sleep>>>,
}

impl ReadyAfter {
    pub(crate) fn new(delay: Duration) -> Self {
        Self { delay, wait: None }
    }
}

impl Clone for ReadyAfter {
    fn clone(&self) -> Self {
        Self::new(self.delay)
    }
}

impl Service<Request<()>> for ReadyAfter {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let delay = self.delay;
        self.wait.get_or_insert_with(|| Box::pin(sleep(delay))).as_mut().poll(cx).map(Ok)
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        self.wait = None;
        ready(Ok(Response::new(())))
    }
}

/// Counts the requests that arrive at its service.
#[derive(Clone, Default)]
pub(crate) struct RequestCounter(Arc<AtomicUsize>);

impl RequestCounter {
    pub(crate) fn service(
        &self,
    ) -> impl Service<Request<()>, Response = Response<()>, Error = Infallible> + Clone + use<> {
        let counter = self.clone();
        service_fn(move |_: Request<()>| {
            counter.0.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok(Response::new(())))
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

pub(crate) fn request() -> Request<()> {
    Request::new(())
}

pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

/// Returns the headers with which a request arrives.
pub(crate) async fn sent(layer: BearerLayer, request: Request<()>) -> HeaderMap {
    layer.layer(echo()).oneshot(request).await.unwrap().into_body()
}
