//! Key files: credential files with the private key of a service account.

use serde_json::{Value, json};

use super::account::Account;
use super::key::SigningKey;
use crate::emulator::error::ApiError;

/// Returns the key file of an account's key. It points to the emulator at `endpoint`.
pub(crate) fn of_key(endpoint: &str, account: &Account, key: &SigningKey) -> Result<Value, ApiError> {
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
