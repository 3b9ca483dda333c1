//! Which request goes where.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Form, Path, State};
use axum::response::{IntoResponse, Json};
use axum::routing::{get, post};
use http::{HeaderMap, Request, Response, StatusCode, header};
use serde_json::json;
use tower_service::Service;

use super::exchange::Exchange;
use super::grpc;
use super::keys_page;
use super::oauth::{self, TokenForm};
use super::refusal::Refusal;
use super::world::World;

/// All the emulator's services behind one door.
#[derive(Clone)]
pub(super) struct Door {
    grpc: grpc::Server,
    pages: Router,
}

impl Door {
    pub(super) fn new(world: Arc<World>) -> Self {
        let pages = Router::new()
            .route("/token", post(token))
            .route("/oauth2/v3/certs", get(google_jwks))
            .route("/service_accounts/v1/metadata/jwk/{email}", get(account_jwks))
            .route("/healthz", get(|| async { "ok\n" }))
            .fallback(not_found)
            .with_state(Arc::clone(&world));
        Self { grpc: grpc::server(world), pages }
    }

    /// Answers one request. gRPC is told by its content type, since the stub's own fallback would
    /// answer a wrong REST path with HTTP 200.
    pub(super) async fn answer(&self, mut request: Request<Body>, exchange: Exchange) -> Response<Body> {
        request.extensions_mut().insert(exchange.clone());
        let response = if is_grpc(&request) {
            let Ok(response) = self.grpc.clone().call(request).await;
            response.map(Body::new)
        } else {
            let Ok(response) = self.pages.clone().call(request).await;
            response
        };
        exchange.apply(response).await
    }
}

fn is_grpc(request: &Request<Body>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    kind.and_then(|kind| kind.strip_prefix(b"application/grpc"))
        .is_some_and(|rest| rest.is_empty() || matches!(rest[0], b'+' | b';'))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        (self.http_status(), Json(self.to_json())).into_response()
    }
}

async fn token(
    State(world): State<Arc<World>>,
    Extension(exchange): Extension<Exchange>,
    headers: HeaderMap,
    Form(form): Form<TokenForm>,
) -> Response<Body> {
    oauth::token(&world, &headers, &exchange, form).await
}

async fn google_jwks(State(world): State<Arc<World>>) -> Response<Body> {
    keys_page::google_jwks(&world).await.map(Json).into_response()
}

async fn account_jwks(State(world): State<Arc<World>>, Path(email): Path<String>) -> Response<Body> {
    keys_page::account_jwks(&world, &email).await.map(Json).into_response()
}

async fn not_found(request: Request<Body>) -> Response<Body> {
    let message = format!("Not found: {} {}", request.method(), request.uri().path());
    let error = json!({"error": {"code": 404, "message": message, "status": "NOT_FOUND"}});
    (StatusCode::NOT_FOUND, Json(error)).into_response()
}
