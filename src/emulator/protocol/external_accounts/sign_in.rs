//! The page at which a person signs in with a workforce pool.

use axum::body::Body;
use axum::extract::{Path, Query};
use axum::response::IntoResponse;
use http::{Response, StatusCode, Uri, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tonic::Code;

use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::error::ApiError;
use crate::emulator::iam::federation::external_identity::ExternalIdentity;
use crate::emulator::iam::federation::names::is_workforce;
use crate::emulator::iam::federation::sign_ins::{Session, SignIn};
use crate::emulator::method::Method;
use crate::emulator::reply::Json;
use crate::scopes::CLOUD_PLATFORM;

/// A request for a code (RFC 6749, and RFC 7636 for the challenge).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Parameters {
    response_type: String,
    client_id: String,
    redirect_uri: String,
    scope: String,
    state: String,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    provider_name: Option<String>,
}

/// Signs the person in, without a question, and redirects the browser to the client with a code.
pub(super) async fn authorize(
    context: RequestContext,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
) -> Response<Body> {
    let record = match context.begin(RequestSummary::of_name(Method::ExternalAccount, &name)).await {
        Ok(record) => record,
        Err(error) => return error.into_response(),
    };
    let redirect = redirect(&context, &name, query);
    record.finish(redirect.as_ref().err());
    match redirect {
        Ok(location) => (StatusCode::FOUND, [(header::LOCATION, location)]).into_response(),
        Err(error) => (error.http_status(), Json(error.to_json())).into_response(),
    }
}

fn redirect(context: &RequestContext, name: &str, query: Parameters) -> Result<String, ApiError> {
    let identity = ExternalIdentity::find(&context.state.identities, name)?;
    let provider = identity.provider()?;
    check(&query, provider)?;
    let scopes = match query.scope.split_whitespace().map(str::to_owned).collect::<Vec<_>>() {
        none if none.is_empty() => vec![CLOUD_PLATFORM.to_owned()],
        scopes => scopes,
    };
    let session = Session { account: name.to_owned(), client_id: query.client_id, scopes: scopes.into() };
    let (redirect_uri, code_challenge) = (query.redirect_uri.clone(), query.code_challenge);
    let sign_in = SignIn { session, redirect_uri, code_challenge };
    let code = context.state.identities.sign_ins.code(sign_in, context.state.clock.now())?;
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let separator = if query.redirect_uri.contains('?') { '&' } else { '?' };
    let mut location = format!("{}{separator}code={}", query.redirect_uri, encoded(&code));
    if !query.state.is_empty() {
        location.push_str(&format!("&state={}", encoded(&query.state)));
    }
    Ok(location)
}

fn check(query: &Parameters, provider: &str) -> Result<(), ApiError> {
    let invalid = |field: &str, problem: &str| Err(ApiError::invalid_field(field, problem));
    if !is_workforce(provider) {
        let problem = "people sign in with a workforce pool: the provider of the account is in another pool";
        return Err(ApiError::new(Code::FailedPrecondition, problem));
    }
    if query.provider_name.as_deref().is_some_and(|named| named != provider) {
        return invalid("provider_name", "the account's provider is another one");
    }
    if query.response_type != "code" {
        return invalid("response_type", "a response_type is code");
    }
    if query.client_id.is_empty() {
        return invalid("client_id", "a client_id is needed");
    }
    if !query.redirect_uri.parse().is_ok_and(|uri: Uri| uri.scheme().is_some() && uri.host().is_some()) {
        return invalid("redirect_uri", "a redirect_uri is a URL");
    }
    match (query.code_challenge.is_some(), query.code_challenge_method.as_deref()) {
        (true, Some("S256")) | (false, None) => Ok(()),
        _ => invalid("code_challenge_method", "a code_challenge_method is S256, with a code_challenge"),
    }
}
