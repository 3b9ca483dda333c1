//! The Security Token Service (STS): exchanges tokens of other platforms for access tokens.

mod client;
mod downscoping;
mod introspection;
mod oauth_token;
mod options;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::post;
use http::{Request, Response};
use serde_json::{Value, json};

use self::client::Client;
use self::options::Options;
use super::oauth_body;
use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::api::record::JournalRecord;
use crate::emulator::error::OauthError;
use crate::emulator::faults::PlatformFault;
use crate::emulator::iam::federation::exchange::{Federated, SubjectKind};
use crate::emulator::iam::federation::names::provider_in;
use crate::emulator::journal::RequestFields;
use crate::emulator::method::Method;
use crate::emulator::state::EmulatorState;
use crate::scopes::check::are_scopes;
use crate::sts_protocol::{
    ACCESS_TOKEN_TYPE, BETA_TOKEN_PATH, ExchangeRequest, INTROSPECT_PATH, OAUTH_TOKEN_PATH, REVOKE_PATH,
    TOKEN_EXCHANGE, TOKEN_PATH,
};

/// The description of the fault that a signed request is for another provider.
const WRONG_TARGET: &str = "The header x-goog-cloud-target-resource does not match the expected audience.";

pub(crate) fn routes() -> Router<Arc<EmulatorState>> {
    Router::new()
        .route(TOKEN_PATH, post(handle))
        .route(BETA_TOKEN_PATH, post(handle))
        .route(OAUTH_TOKEN_PATH, post(oauth_token::handle))
        .route(INTROSPECT_PATH, post(introspection::introspect))
        .route(REVOKE_PATH, post(introspection::revoke))
}

async fn handle(context: RequestContext, request: Request<Body>) -> Response<Body> {
    let request = match oauth_body::read(request).await {
        Ok(request) => request,
        Err(error) => return error.into_response(),
    };
    let mut record = match context.begin(summary(&request)).await {
        Ok(record) => record,
        Err(error) => return OauthError::from(error).into_response(),
    };
    let result = exchange(&context, &request, &mut record).await;
    oauth_body::reply(record, result)
}

fn summary(request: &ExchangeRequest) -> RequestSummary<'_> {
    RequestSummary {
        method: Method::Token,
        name: &request.audience,
        delegates: &[],
        fields: RequestFields {
            scopes: scopes_of(request),
            audience: Some(request.audience.clone()),
            grant_type: Some(request.grant_type.clone()),
            options: Some(request.options.clone()).filter(|options| !options.is_empty()),
            ..RequestFields::default()
        },
    }
}

fn scopes_of(request: &ExchangeRequest) -> Vec<String> {
    request.scope.split_whitespace().map(str::to_owned).collect()
}

async fn exchange(
    context: &RequestContext,
    request: &ExchangeRequest,
    record: &mut JournalRecord<'_>,
) -> Result<Value, OauthError> {
    check_types(request)?;
    let client = Client::read(&context.headers)?.unwrap_or_default();
    let options = Options::read(&request.options, &request.audience)?;
    if request.subject_token_type == ACCESS_TOKEN_TYPE {
        return downscoping::exchange(&context.state, request, client, options, record);
    }
    let kind = SubjectKind::from_type(&request.subject_token_type)?;
    apply_fault(context, &request.audience, record).await?;
    let identities = &context.state.identities;
    let federated = Federated::identify(identities, &request.audience, kind, &request.subject_token)?;
    record.set_principal(&federated.name().into());
    let scopes = scopes_of(request);
    if scopes.is_empty() || !are_scopes(&scopes) {
        return Err(OauthError::new("invalid_scope", "Invalid OAuth scope."));
    }
    let expires_in = federated.lifetime().as_secs();
    let issued = federated.record(identities, scopes.into(), &client.id, options.access_boundary);
    let token = identities.access_tokens.issue(issued, context.state.clock.now())?;
    Ok(json!({"access_token": token, "issued_token_type": ACCESS_TOKEN_TYPE, "token_type": "Bearer",
        "expires_in": expires_in}))
}

/// Applies the fault of a platform in force for an account of the provider, if there is one.
async fn apply_fault(
    context: &RequestContext,
    audience: &str,
    record: &mut JournalRecord<'_>,
) -> Result<(), OauthError> {
    let Some(active) = context.state.identities.policy() else { return Ok(()) };
    let kinds = [PlatformFault::IssuerUnreachable, PlatformFault::WrongTargetResource];
    for account in active.policy.external_accounts_of(provider_in(audience).unwrap_or_default()) {
        let problem = match context.apply_platform_fault(&kinds, Method::Token, account, record).await {
            None => continue,
            Some(PlatformFault::WrongTargetResource) => WRONG_TARGET,
            Some(_) => "Error connecting to the given credential's issuer.",
        };
        return Err(OauthError::grant(problem));
    }
    Ok(())
}

fn check_types(request: &ExchangeRequest) -> Result<(), OauthError> {
    if request.grant_type != TOKEN_EXCHANGE {
        return Err(OauthError::new("unsupported_grant_type", "Invalid grant_type."));
    }
    if request.requested_token_type != ACCESS_TOKEN_TYPE {
        return Err(OauthError::new("invalid_request", "Invalid requested_token_type."));
    }
    Ok(())
}
