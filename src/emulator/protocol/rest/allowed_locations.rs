//! `GET …/allowedLocations`: where the credentials of an account or of an identity pool may be used.
//!
//! Google's libraries ask this before they send requests to regional endpoints. Here, no credentials are
//! restricted.

use std::sync::Arc;

use axum::body::Body;
use http::{Method as HttpMethod, Request, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::SystemParameters;
use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::error::ApiError;
use crate::emulator::iam::identities::Identities;
use crate::emulator::iam::principal::Principal;
use crate::emulator::journal::Protocol;
use crate::emulator::method::Method;
use crate::emulator::state::EmulatorState;
use crate::parse_service_account_path;

const REPLY_FIELDS: [&str; 2] = ["locations", "encodedLocations"];

/// Returns the resource that a request asks about, if it is of this kind.
pub(crate) fn resource(method: &HttpMethod, path: &str) -> Option<String> {
    let resource = path.strip_prefix("/v1/")?.strip_suffix("/allowedLocations")?;
    let resource = percent_decode_str(resource).decode_utf8().ok()?;
    let segments: Vec<_> = resource.split('/').collect();
    let is_known = matches!(
        segments[..],
        ["projects", _, "serviceAccounts", _]
            | ["projects", _, "locations", "global", "workloadIdentityPools", _]
            | ["locations", "global", "workforcePools", _]
    );
    (method == HttpMethod::GET && is_known).then(|| resource.into_owned())
}

/// Handles the request.
pub(crate) async fn handle(
    state: Arc<EmulatorState>,
    resource: String,
    request: Request<Body>,
) -> Response<Body> {
    let (mut head, _) = request.into_parts();
    let parameters = SystemParameters::read(&mut head);
    let result = match RequestContext::new(state, head.headers, Protocol::Rest, &head.extensions) {
        Ok(context) => answer(&context, &resource, &parameters).await,
        Err(error) => Err(error),
    };
    parameters.respond(result)
}

async fn answer(
    context: &RequestContext,
    resource: &str,
    parameters: &SystemParameters,
) -> Result<Value, ApiError> {
    let record = context.begin(RequestSummary::of_name(Method::AllowedLocations, resource)).await?;
    let result = parameters.check(&REPLY_FIELDS).and_then(|()| locations(context, resource));
    record.finish(result.as_ref().err());
    result
}

fn locations(context: &RequestContext, resource: &str) -> Result<Value, ApiError> {
    let identities = &context.state.identities;
    Principal::identify(identities, &context.headers, Method::AllowedLocations)?;
    check_account(identities, resource)?;
    // Google's encoding of "not restricted".
    Ok(json!({"locations": [], "encodedLocations": "0x0"}))
}

fn check_account(identities: &Identities, resource: &str) -> Result<(), ApiError> {
    match parse_service_account_path(resource) {
        Some((_, account)) if identities.account(account).is_none() => {
            Err(ApiError::unknown_account(account))
        }
        _ => Ok(()),
    }
}
