//! Files of people who sign in with a workforce pool.

use std::sync::Arc;

use serde_json::{Value, json};
use tonic::Code;

use super::credential_files::{CLIENT_ID, CLIENT_SECRET};
use crate::emulator::error::ApiError;
use crate::emulator::iam::federation::external_identity::ExternalIdentity;
use crate::emulator::iam::federation::names::{audience_of, is_workforce};
use crate::emulator::iam::federation::platform_pages as pages;
use crate::emulator::iam::federation::sign_ins::Session;
use crate::emulator::state::EmulatorState;
use crate::scopes::CLOUD_PLATFORM;
use crate::sts_protocol::{INTROSPECT_PATH, OAUTH_TOKEN_PATH, REVOKE_PATH};

/// Returns the credential file that gcloud writes for a person who signed in.
pub(super) fn authorized_user(state: &EmulatorState, account: &str) -> Result<Value, ApiError> {
    let session = Session {
        account: account.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        scopes: Arc::from([CLOUD_PLATFORM.to_owned()]),
    };
    let (audience, identities) = (audience(state, account)?, &state.identities);
    let is_usable = |token: &str| !identities.is_revoked(token);
    let endpoint = &state.endpoint;
    Ok(json!({
        "type": "external_account_authorized_user",
        "audience": audience,
        "refresh_token": identities.sign_ins.usual_refresh_token(session, is_usable)?,
        "token_url": format!("{endpoint}{OAUTH_TOKEN_PATH}"),
        "token_info_url": format!("{endpoint}{INTROSPECT_PATH}"),
        "revoke_url": format!("{endpoint}{REVOKE_PATH}"),
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "universe_domain": "googleapis.com",
    }))
}

/// Returns the file that says to gcloud where a person signs in.
pub(super) fn login_config(state: &EmulatorState, account: &str) -> Result<Value, ApiError> {
    let endpoint = &state.endpoint;
    Ok(json!({
        "type": "external_account_authorized_user_login_config",
        "audience": audience(state, account)?,
        "auth_url": pages::url(endpoint, account, pages::AUTHORIZE),
        "token_url": format!("{endpoint}{OAUTH_TOKEN_PATH}"),
        "token_info_url": format!("{endpoint}{INTROSPECT_PATH}"),
        "universe_domain": "googleapis.com",
    }))
}

/// Returns the audience of the account's provider, which must be in a workforce pool.
fn audience(state: &EmulatorState, account: &str) -> Result<String, ApiError> {
    let identity = ExternalIdentity::find(&state.identities, account)?;
    let provider = identity.provider()?;
    if is_workforce(provider) {
        return Ok(audience_of(provider));
    }
    let problem = "people sign in with a workforce pool: the provider of the account is in another pool";
    Err(ApiError::new(Code::FailedPrecondition, problem))
}
