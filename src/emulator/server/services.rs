//! Which request goes to which service.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{HeaderMap, Request, Response, StatusCode, header};
use tonic::Code;
use tower_service::Service;

use super::own_requests;
use super::request_body::{self, BODY_TIMEOUT};
use crate::emulator::control::http as control;
use crate::emulator::error::{ApiError, shorten};
use crate::emulator::faults::Transport;
use crate::emulator::own_hosts::OwnHosts;
use crate::emulator::protocol::{grpc, key_sets, metadata_server, rest, sts, token_endpoint};
use crate::emulator::state::EmulatorState;
use crate::headers::GRPC_CONTENT_TYPE;

/// All services of an emulator, on one port.
#[derive(Clone)]
pub(crate) struct Services {
    grpc: grpc::Server,
    http: Router,
    own_hosts: Arc<OwnHosts>,
}

impl Services {
    pub(crate) fn new(state: Arc<EmulatorState>) -> Self {
        let http = Router::new()
            .merge(token_endpoint::routes())
            .merge(key_sets::routes())
            .merge(metadata_server::routes())
            .merge(sts::routes())
            .merge(control::routes())
            .route("/healthz", get(|| async { "ok\n" }))
            .fallback(custom_method)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(Arc::clone(&state));
        let own_hosts = Arc::clone(&state.own_hosts);
        Self { grpc: grpc::server(state), http, own_hosts }
    }

    /// Handles one request.
    ///
    /// gRPC is recognized by its content type, because the fallback of the generated stub would
    /// reply to an unknown REST path with HTTP 200.
    pub(crate) async fn handle(&self, request: Request<Body>, transport: Transport) -> Response<Body> {
        let (mut head, body) = request.into_parts();
        if let Err(error) = own_requests::check(&self.own_hosts, &head) {
            return error.into_response();
        }
        head.extensions.insert(transport.clone());
        let is_grpc = is_grpc(&head.headers);
        let (body, too_slow) = request_body::timed(body);
        let request = Request::from_parts(head, body);
        let response = if is_grpc {
            let Ok(response) = self.grpc.clone().call(request).await;
            response.map(Body::new)
        } else {
            let Ok(response) = self.http.clone().call(request).await;
            response
        };
        if too_slow.get() {
            return body_too_slow(is_grpc);
        }
        transport.apply_fault(response).await
    }
}

/// Replies to a request whose body doesn't arrive. The rest of the body isn't read.
fn body_too_slow(is_grpc: bool) -> Response<Body> {
    let message = format!("The request's body did not arrive within {} s.", BODY_TIMEOUT.as_secs());
    let error = ApiError::new(Code::DeadlineExceeded, message);
    if is_grpc {
        return error.to_status().into_http();
    }
    let mut response = error.into_response();
    *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
    response
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    content_type
        .and_then(|content_type| content_type.strip_prefix(GRPC_CONTENT_TYPE.as_bytes()))
        .is_some_and(|rest| rest.is_empty() || matches!(rest[0], b'+' | b';'))
}

/// A custom method on a resource, or an unknown path.
///
/// There is one fallback for both: two routers with fallbacks can't be merged, and no route pattern
/// splits a segment at its last colon.
async fn custom_method(State(state): State<Arc<EmulatorState>>, request: Request<Body>) -> Response<Body> {
    match rest::Target::from_path(request.uri().path()) {
        Some(target) => rest::handle(state, target, request).await,
        None => ApiError::unknown_path(request.method().as_str(), request.uri().path()).into_response(),
    }
}

async fn method_not_allowed(request: Request<Body>) -> Response<Body> {
    let (method, path) = (request.method(), shorten(request.uri().path()));
    let message = format!("{method} is not allowed at {path}");
    let mut response = ApiError::new(Code::Unimplemented, message).into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use bytes::Bytes;
    use http_body::Frame;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Duration;
    use tokio::time::{Instant, Interval, interval};

    use super::*;
    use crate::emulator::connection::Connection;
    use crate::emulator::own_hosts::OwnHosts;

    /// A body that sends its start, then one space a second, and never ends.
    struct Trickle(Option<&'static [u8]>, Interval);

    impl http_body::Body for Trickle {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            if let Some(start) = self.0.take() {
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(start)))));
            }
            self.1.poll_tick(context).map(|_| Some(Ok(Frame::data(Bytes::from_static(b" ")))))
        }
    }

    /// conf: A21
    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_times_out() {
        let state = EmulatorState::new(String::new(), OwnHosts::default(), String::new(), None);
        let services = Services::new(Arc::new(state));
        let sign_blob = "/v1/projects/-/serviceAccounts/a@b.c:signBlob";
        let grpc = "/google.iam.credentials.v1.IAMCredentials/SignBlob";
        for (path, content_type, status, grpc_status) in [
            (sign_blob, "application/json", 408, None),
            ("/token", "application/x-www-form-urlencoded", 408, None),
            ("/emulator/policy", "application/json", 408, None),
            (grpc, "application/grpc", 200, Some("4")),
        ] {
            let method = if path.starts_with("/emulator") { "PUT" } else { "POST" };
            let request = Request::builder().method(method).uri(path);
            let request = request.header("content-type", content_type).header("host", "localhost");
            // The head of a gRPC message of a mebibyte.
            let first = grpc_status.map(|_| &b"\0\0\x10\0\0"[..]);
            let body = Body::new(Trickle(first, interval(Duration::from_secs(1))));
            let start = Instant::now();
            let transport = Transport::new(Connection::new(1));
            let response = services.handle(request.body(body).unwrap(), transport).await;
            assert_eq!(start.elapsed().as_secs(), BODY_TIMEOUT.as_secs(), "{path}");
            assert_eq!(response.status(), status, "{path}");
            let code = response.headers().get("grpc-status").map(|code| code.to_str().unwrap().to_owned());
            assert_eq!(code.as_deref(), grpc_status, "{path}");
            to_bytes(response.into_body(), usize::MAX).await.unwrap();
        }
    }
}
