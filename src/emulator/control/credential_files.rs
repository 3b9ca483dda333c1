//! Credential files that point to this emulator.

use serde_json::{Value, json};

use crate::emulator::error::ApiError;
use crate::emulator::iam::account::Account;
use crate::emulator::iam::key_file;
use crate::emulator::state::EmulatorState;

/// The OAuth client in the files of users. The token endpoint accepts any client.
pub(super) const CLIENT_ID: &str = "emulator.apps.googleusercontent.com";
pub(super) const CLIENT_SECRET: &str = "not-a-secret";

/// Returns a service account's key file. Blocks while it generates the key, once per account.
pub(super) fn service_account(state: &EmulatorState, account: &Account) -> Result<Value, ApiError> {
    let key = account.keys().file(state.clock.now())?;
    key_file::of_key(&state.endpoint, account, &key)
}

/// Returns the file that gcloud writes for a user who logged in.
pub(super) fn authorized_user(state: &EmulatorState, user: &str) -> Value {
    json!({
        "type": "authorized_user",
        "account": user,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "refresh_token": state.identities.refresh_token_of(user),
        "token_uri": format!("{}/token", state.endpoint),
        "universe_domain": "googleapis.com",
    })
}

/// Returns the file that gcloud writes for `--impersonate-service-account`.
pub(super) fn impersonated(state: &EmulatorState, source: Value, target: &str, delegates: &[&str]) -> Value {
    json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url":
            format!("{}/v1/projects/-/serviceAccounts/{target}:generateAccessToken", state.endpoint),
        "delegates": delegates,
        "source_credentials": source,
    })
}
