//! Which request goes to which service.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode, header};
use tonic::Code;
use tower_service::Service;

use super::{cors, own_requests, request_body};
use crate::emulator::control::http as control;
use crate::emulator::error::{ApiError, shorten};
use crate::emulator::faults::Transport;
use crate::emulator::protocol::rest::allowed_locations;
use crate::emulator::protocol::{
    external_accounts, grpc, iam_api, key_sets, metadata_server, rest, sts, token_endpoint,
};
use crate::emulator::state::EmulatorState;
use crate::headers::GRPC_CONTENT_TYPE;
use crate::own_hosts::OwnHosts;

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
            .merge(external_accounts::routes())
            .merge(control::routes())
            .route("/healthz", get(|| async { "ok\n" }))
            .fallback(custom_method)
            .method_not_allowed_fallback(method_not_allowed)
            // The body has been read, within a limit.
            .layer(DefaultBodyLimit::disable())
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
        if let Some(reply) = cors::preflight(&head) {
            // Unread, the rest of the body would end the connection.
            return request_body::read(&head.headers, body)
                .await
                .map_or_else(ApiError::into_response, |_| reply);
        }
        let reader = cors::Reader::of(&head);
        head.extensions.insert(transport.clone());
        let mut reply = if is_grpc(&head.headers) {
            self.handle_grpc(head, body).await
        } else {
            match request_body::read(&head.headers, body).await {
                Ok(body) => self.handle_http(head, body).await,
                Err(error) => error.into_response(),
            }
        };
        if let Some(reader) = reader {
            reader.allow(reply.headers_mut());
        }
        transport.apply_fault(reply).await
    }

    async fn handle_grpc(&self, head: Parts, body: Body) -> Response<Body> {
        let (body, too_slow) = request_body::timed(body);
        let Ok(reply) = self.grpc.clone().call(Request::from_parts(head, body)).await;
        if too_slow.get() {
            return request_body::too_slow().to_status().into_http();
        }
        reply.map(Body::new)
    }

    async fn handle_http(&self, head: Parts, body: Bytes) -> Response<Body> {
        let Ok(reply) = self.http.clone().call(Request::from_parts(head, Body::from(body))).await;
        reply
    }
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
    if let Some(resource) = allowed_locations::resource(request.method(), request.uri().path()) {
        return allowed_locations::handle(state, resource, request).await;
    }
    if let Some(target) = iam_api::Target::find(request.method(), request.uri().path()) {
        return iam_api::handle(state, target, request).await;
    }
    match rest::Target::from_path(request.uri().path()) {
        Some(target) => rest::handle(state, target, request).await,
        None => ApiError::unknown_path(request.method().as_str(), request.uri().path()).into_response(),
    }
}

async fn method_not_allowed(request: Request<Body>) -> Response<Body> {
    let (method, path) = (request.method(), shorten(request.uri().path()));
    let message = format!("{method} is not allowed at {path}");
    ApiError::new(Code::Unimplemented, message)
        .with_http_status(StatusCode::METHOD_NOT_ALLOWED)
        .into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use tokio::time::Instant;

    use super::super::trickle::Trickle;
    use super::*;
    use crate::emulator::connection::Connection;
    use crate::own_hosts::OwnHosts;

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
            let body = Body::new(Trickle::new(first));
            let start = Instant::now();
            let transport = Transport::new(Connection::new(1));
            let response = services.handle(request.body(body).unwrap(), transport).await;
            assert_eq!(start.elapsed().as_secs(), request_body::BODY_TIMEOUT.as_secs(), "{path}");
            assert_eq!(response.status(), status, "{path}");
            let code = response.headers().get("grpc-status").map(|code| code.to_str().unwrap().to_owned());
            assert_eq!(code.as_deref(), grpc_status, "{path}");
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            if grpc_status.is_none() {
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(body["error"]["code"], 408, "{path}: {body}");
            }
        }
    }
}
