//! Which request goes where.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, Form, Path, Query, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use serde::Deserialize;
use tonic::Code;
use tower_service::Service;

use crate::emulator::api::context::Visit;
use crate::emulator::control::http as control;
use crate::emulator::error::{Refusal, shorten};
use crate::emulator::journal::RequestFields;
use crate::emulator::method::Method;
use crate::emulator::protocol::grpc;
use crate::emulator::protocol::key_sets::{self, Form as KeyForm};
use crate::emulator::protocol::metadata_server;
use crate::emulator::protocol::rest::{self, Json};
use crate::emulator::protocol::token_endpoint::{self, OauthError, TokenForm};
use crate::emulator::server::exchange::Exchange;
use crate::emulator::state::World;
use crate::headers::GRPC_CONTENT_TYPE;

/// All the emulator's services behind one services.
#[derive(Clone)]
pub(crate) struct Services {
    grpc: grpc::Server,
    pages: Router,
}

type TheWorld = State<Arc<World>>;
type TheExchange = Extension<Exchange>;

impl Services {
    pub(crate) fn new(world: Arc<World>) -> Self {
        let pages = Router::new()
            .route("/token", post(token))
            .route("/oauth2/v4/token", post(token))
            .route("/tokeninfo", get(token_info).post(token_info))
            .route("/oauth2/v1/tokeninfo", get(token_info).post(token_info))
            .route("/oauth2/v3/tokeninfo", get(token_info).post(token_info))
            .route("/oauth2/v3/certs", get(google_jwk))
            .route("/oauth2/v1/certs", get(google_x509))
            .route("/service_accounts/v1/metadata/{form}/{email}", get(account_keys))
            .route("/robot/v1/metadata/{form}/{email}", get(account_keys))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/emulator", get(control::index))
            .route("/emulator/", get(control::index))
            .nest("/emulator", control::routes())
            .route("/", get(metadata_page))
            .route("/computeMetadata/{*path}", get(metadata_page))
            .fallback(custom_method)
            .method_not_allowed_fallback(wrong_method)
            .with_state(Arc::clone(&world));
        Self { grpc: grpc::server(world), pages }
    }

    /// Answers one request. gRPC is told by its content type, since the stub's own fallback would
    /// answer a wrong REST path with HTTP 200.
    pub(crate) async fn answer(&self, mut request: Request<Body>, exchange: Exchange) -> Response<Body> {
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
    kind.and_then(|kind| kind.strip_prefix(GRPC_CONTENT_TYPE.as_bytes()))
        .is_some_and(|rest| rest.is_empty() || matches!(rest[0], b'+' | b';'))
}

async fn token(
    State(world): TheWorld,
    Extension(exchange): TheExchange,
    headers: HeaderMap,
    form: Result<Form<TokenForm>, FormRejection>,
) -> Response<Body> {
    match form {
        Ok(Form(form)) => token_endpoint::token(&world, &headers, &exchange, form).await,
        Err(rejection) => OauthError::new("invalid_request", rejection.body_text()).into_response(),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenInfoQuery {
    access_token: String,
    id_token: String,
}

async fn token_info(
    State(world): TheWorld,
    Extension(exchange): TheExchange,
    headers: HeaderMap,
    Query(query): Query<TokenInfoQuery>,
    form: Result<Form<TokenInfoQuery>, FormRejection>,
) -> Response<Body> {
    let visit = Visit {
        world: &world,
        headers: &headers,
        exchange: &exchange,
        method: Method::TokenInfo,
        name: "",
        fields: RequestFields::default(),
    };
    let record = match visit.begin().await {
        Ok(record) => record,
        Err(refusal) => return OauthError::from(refusal).into_response(),
    };
    record.finish(None);
    let form = form.map(|Form(form)| form).unwrap_or_default();
    let either = |query: String, form: String| if query.is_empty() { form } else { query };
    let access_token = either(query.access_token, form.access_token);
    let id_token = either(query.id_token, form.id_token);
    token_endpoint::token_info(&world, &access_token, &id_token).map(Json).into_response()
}

async fn google_jwk(world: TheWorld, exchange: TheExchange, headers: HeaderMap) -> Response<Body> {
    google_keys(world, exchange, headers, KeyForm::Jwk).await
}

async fn google_x509(world: TheWorld, exchange: TheExchange, headers: HeaderMap) -> Response<Body> {
    google_keys(world, exchange, headers, KeyForm::X509).await
}

async fn google_keys(
    State(world): TheWorld,
    Extension(exchange): TheExchange,
    headers: HeaderMap,
    form: KeyForm,
) -> Response<Body> {
    keys_visit(&world, &headers, &exchange, "").answer(key_sets::of_google(&world, form)).await
}

async fn account_keys(
    State(world): TheWorld,
    Extension(exchange): TheExchange,
    headers: HeaderMap,
    Path((form, email)): Path<(String, String)>,
) -> Response<Body> {
    let form = match form.as_str() {
        "jwk" => KeyForm::Jwk,
        "x509" => KeyForm::X509,
        "raw" => KeyForm::Raw,
        _ => return not_found("GET", &format!("/service_accounts/v1/metadata/{form}")),
    };
    keys_visit(&world, &headers, &exchange, &email).answer(key_sets::of_account(&world, &email, form)).await
}

fn keys_visit<'a>(
    world: &'a World,
    headers: &'a HeaderMap,
    exchange: &'a Exchange,
    name: &'a str,
) -> Visit<'a> {
    Visit { world, headers, exchange, method: Method::Keys, name, fields: RequestFields::default() }
}

async fn metadata_page(
    State(world): TheWorld,
    Extension(exchange): TheExchange,
    headers: HeaderMap,
    uri: Uri,
    Query(query): Query<metadata_server::Query>,
) -> Response<Body> {
    let visit = Visit {
        world: &world,
        headers: &headers,
        exchange: &exchange,
        method: Method::Metadata,
        name: uri.path(),
        fields: RequestFields::default(),
    };
    match visit.begin().await {
        Ok(record) => {
            let (result, response) = metadata_server::answer(&world, &headers, uri.path(), &query).await;
            record.finish(result.as_ref().err());
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// A custom method on a resource, or nothing known. One fallback for all: two routers that both have
/// one cannot be merged, and no pattern can split a segment at its last colon.
async fn custom_method(State(world): TheWorld, request: Request<Body>) -> Response<Body> {
    match rest::Target::from_path(request.uri().path()) {
        Some(target) => rest::answer(&world, target, request).await,
        None => not_found(request.method().as_str(), request.uri().path()),
    }
}

async fn wrong_method(request: Request<Body>) -> Response<Body> {
    let (method, path) = (request.method(), shorten(request.uri().path()));
    let message = format!("{method} is not understood at {path}");
    let mut response = Refusal::new(Code::Unimplemented, message).into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

fn not_found(method: &str, path: &str) -> Response<Body> {
    let message = format!("Not found: {method} {}; GET /emulator/ tells what there is", shorten(path));
    Refusal::new(Code::NotFound, message).into_response()
}
