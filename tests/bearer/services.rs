//! Services around which tests put the layer.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gcp_iam_credentials::{BearerLayer, Credentials, Token};
use http::{HeaderMap, Request, Response, StatusCode};
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
