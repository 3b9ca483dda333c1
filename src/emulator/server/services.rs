//! Which request goes to which service.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{Request, Response, StatusCode, header};
use tonic::Code;
use tower_service::Service;

use crate::emulator::control::http as control;
use crate::emulator::error::{ApiError, shorten};
use crate::emulator::faults::Transport;
use crate::emulator::protocol::{grpc, key_sets, metadata_server, rest, token_endpoint};
use crate::emulator::state::EmulatorState;
use crate::headers::GRPC_CONTENT_TYPE;

/// All services of an emulator, on one port.
#[derive(Clone)]
pub(crate) struct Services {
    grpc: grpc::Server,
    http: Router,
}

impl Services {
    pub(crate) fn new(state: Arc<EmulatorState>) -> Self {
        let http = Router::new()
            .merge(token_endpoint::routes())
            .merge(key_sets::routes())
            .merge(metadata_server::routes())
            .merge(control::routes())
            .route("/healthz", get(|| async { "ok\n" }))
            .fallback(custom_method)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(Arc::clone(&state));
        Self { grpc: grpc::server(state), http }
    }

    /// Handles one request.
    ///
    /// gRPC is recognized by its content type, because the fallback of the generated stub would
    /// reply to an unknown REST path with HTTP 200.
    pub(crate) async fn handle(&self, mut request: Request<Body>, transport: Transport) -> Response<Body> {
        request.extensions_mut().insert(transport.clone());
        let response = if is_grpc(&request) {
            let Ok(response) = self.grpc.clone().call(request).await;
            response.map(Body::new)
        } else {
            let Ok(response) = self.http.clone().call(request).await;
            response
        };
        transport.apply_fault(response).await
    }
}

fn is_grpc(request: &Request<Body>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
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
