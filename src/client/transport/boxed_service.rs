//! Any tonic service, boxed.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tonic::body::Body;
use tonic::client::GrpcService;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;
use tower_service::Service;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type BoxedService = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// Boxes a service that the caller gave.
pub(crate) fn boxed_service<S>(service: S) -> BoxedService
where
    S: GrpcService<Body> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<BoxError>,
{
    let service =
        HttpService(service).map_response(|reply: Response<_>| reply.map(Body::new)).map_err(Into::into);
    BoxCloneSyncService::new(service)
}

/// Makes tower's combinators available for any tonic service.
#[derive(Clone)]
struct HttpService<S>(S);

impl<S: GrpcService<Body>> Service<Request<Body>> for HttpService<S> {
    type Response = Response<S::ResponseBody>;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}
