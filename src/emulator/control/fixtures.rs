//! Credential files that lead to this emulator.

use serde_json::{Value, json};

use crate::emulator::error::Refusal;
use crate::emulator::iam::account::Account;
use crate::emulator::state::World;

/// The OAuth client in the files of users. Any other is taken too.
const CLIENT_ID: &str = "emulator.apps.googleusercontent.com";
const CLIENT_SECRET: &str = "not-a-secret";

/// A service account's key file. Blocks while it makes the key, once per account.
pub(crate) fn service_account_key(world: &World, account: &Account) -> Result<Value, Refusal> {
    let key = account.keys().file(world.clock.now())?;
    let endpoint = &world.endpoint;
    Ok(json!({
        "type": "service_account",
        "project_id": account.project(),
        "private_key_id": key.id(),
        "private_key": key.pkcs8_pem()?,
        "client_email": account.email(),
        "client_id": account.unique_id(),
        "auth_uri": format!("{endpoint}/o/oauth2/auth"),
        "token_uri": format!("{endpoint}/token"),
        "auth_provider_x509_cert_url": format!("{endpoint}/oauth2/v1/certs"),
        "client_x509_cert_url": format!("{endpoint}/robot/v1/metadata/x509/{}", account.email()),
        "universe_domain": "googleapis.com",
    }))
}

/// A file as gcloud writes it for a user who logged in.
pub(crate) fn authorized_user(world: &World, user: &str) -> Value {
    json!({
        "type": "authorized_user",
        "account": user,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "refresh_token": world.refresh_token_of(user),
        "token_uri": format!("{}/token", world.endpoint),
        "universe_domain": "googleapis.com",
    })
}

/// A file as gcloud writes it for `--impersonate-service-account`.
pub(crate) fn impersonated(world: &World, source: Value, target: &str, delegates: &[&str]) -> Value {
    json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url":
            format!("{}/v1/projects/-/serviceAccounts/{target}:generateAccessToken", world.endpoint),
        "delegates": delegates,
        "source_credentials": source,
    })
}
