//! The service behind the layer: a channel that ends each request when its time is over.

use std::task::{Context, Poll};

use http::{Request, Response};
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Channel;
use tower_service::Service;

use crate::grpc_timeout;
use crate::headers::GRPC_TIMEOUT;
use crate::source::BoxFuture;

/// A channel of a program. tonic's own timeout begins only when there is a connection.
#[derive(Clone)]
pub(super) struct Bounded(pub(super) Channel);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Request<Body>> for Bounded {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let allowed = request.headers().get(GRPC_TIMEOUT).and_then(grpc_timeout::decode).unwrap_or_default();
        let reply = self.0.call(request);
        Box::pin(async move {
            match timeout(allowed, reply).await {
                Ok(reply) => Ok(reply?),
                Err(_elapsed) => Err(Status::deadline_exceeded("the request's time is over").into()),
            }
        })
    }
}
