//! `/v1/oauthtoken`: the tokens of people who signed in with a workforce pool.

use axum::body::Body;
use axum::response::IntoResponse;
use http::{Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::api::record::JournalRecord;
use crate::emulator::error::OauthError;
use crate::emulator::iam::federation::external_identity::ExternalIdentity;
use crate::emulator::iam::federation::sign_ins::Session;
use crate::emulator::journal::RequestFields;
use crate::emulator::method::Method;
use crate::emulator::protocol::oauth_body;

/// A request for tokens.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenForm {
    grant_type: String,
    code: String,
    redirect_uri: String,
    code_verifier: String,
    refresh_token: String,
    client_id: String,
    client_secret: String,
}

/// Handles `/v1/oauthtoken`.
pub(super) async fn handle(context: RequestContext, request: Request<Body>) -> Response<Body> {
    let form: TokenForm = match oauth_body::read(request).await {
        Ok(form) => form,
        Err(error) => return error.into_response(),
    };
    let fields = RequestFields { grant_type: Some(form.grant_type.clone()), ..RequestFields::default() };
    let summary = RequestSummary { method: Method::Token, name: "", delegates: &[], fields };
    let mut record = match context.begin(summary).await {
        Ok(record) => record,
        Err(error) => return OauthError::from(error).into_response(),
    };
    let result = grant(&context, form, &mut record);
    oauth_body::reply(record, result)
}

fn grant(
    context: &RequestContext,
    mut form: TokenForm,
    record: &mut JournalRecord<'_>,
) -> Result<Value, OauthError> {
    if let Some(client) = Client::read(&context.headers)? {
        (form.client_id, form.client_secret) = (client.id, client.secret);
    }
    if form.client_id.is_empty() || form.client_secret.is_empty() {
        return Err(OauthError::client("invalid_client", "The OAuth client was not found."));
    }
    let identities = &context.state.identities;
    let sign_ins = &identities.sign_ins;
    match form.grant_type.as_str() {
        "authorization_code" => {
            let (code, uri, verifier) = (&form.code, &form.redirect_uri, &form.code_verifier);
            let session = sign_ins.redeem(code, &form.client_id, uri, verifier, context.state.clock.now())?;
            let refresh_token = sign_ins.new_refresh_token(session.clone())?;
            let mut reply = access_token(context, &session, &refresh_token, record)?;
            reply["refresh_token"] = refresh_token.into();
            Ok(reply)
        }
        "refresh_token" => refresh(context, &form, record),
        "" => Err(OauthError::new("invalid_request", "Missing required parameter: grant_type")),
        _ => Err(OauthError::new("unsupported_grant_type", "Invalid grant_type")),
    }
}

fn refresh(
    context: &RequestContext,
    form: &TokenForm,
    record: &mut JournalRecord<'_>,
) -> Result<Value, OauthError> {
    let identities = &context.state.identities;
    let session = identities.sign_ins.session(&form.refresh_token);
    let session = session.filter(|session| session.client_id == form.client_id);
    let session = session.filter(|_| !identities.is_revoked(&form.refresh_token)).ok_or_else(expired)?;
    let identity = ExternalIdentity::find(identities, &session.account).map_err(|_| expired())?;
    if !identity.rotates_refresh_tokens() {
        return access_token(context, &session, &form.refresh_token, record);
    }
    // A person who gets no token keeps the old refresh token.
    identity.sign_in()?;
    let refresh_token = identities.sign_ins.rotate(&form.refresh_token)?.ok_or_else(expired)?;
    let mut reply = access_token(context, &session, &refresh_token, record)?;
    reply["refresh_token"] = refresh_token.into();
    Ok(reply)
}

/// Issues an access token of a session.
fn access_token(
    context: &RequestContext,
    session: &Session,
    refresh_token: &str,
    record: &mut JournalRecord<'_>,
) -> Result<Value, OauthError> {
    let identities = &context.state.identities;
    let identity = ExternalIdentity::find(identities, &session.account).map_err(|_| expired())?;
    let federated = identity.sign_in()?;
    record.set_principal(&federated.name().into());
    let expires_in = federated.lifetime().as_secs();
    let issued = federated.record(identities, session.scopes.clone(), &session.client_id, None);
    let token = identities.issue_for_refresh_token(refresh_token, issued)?.ok_or_else(expired)?;
    Ok(json!({"access_token": token, "expires_in": expires_in, "token_type": "Bearer",
        "scope": session.scopes.join(" ")}))
}

/// The error also if the policy no longer has the account.
fn expired() -> OauthError {
    OauthError::grant("Token has been expired or revoked.")
}
