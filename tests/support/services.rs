//! Services for HTTP requests, in memory.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use tower::{Service, service_fn};

/// Replies at once, and allocates nothing.
#[derive(Clone)]
pub(crate) struct ReplyAtOnce;

impl Service<Request<()>> for ReplyAtOnce {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        black_box(request);
        ready(Ok(Response::new(())))
    }
}

/// Replies with the headers that the request arrived with.
pub(crate) fn echo()
-> impl Service<Request<()>, Response = Response<HeaderMap>, Error = Infallible, Future: Send> + Clone + Send
{
    service_fn(async |request: Request<()>| Ok(Response::new(request.headers().clone())))
}
