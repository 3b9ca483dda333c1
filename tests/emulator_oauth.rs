//! The emulator's token endpoint and the pages of keys.
#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/emulator.rs"]
#[allow(dead_code)]
mod support;

use gcp_iam_credentials::emulator::{Emulator, Method};
use gcp_iam_credentials::scopes;
use support::EMAIL;

#[cfg(feature = "gcp-auth")]
#[tokio::test]
async fn unmodified_gcp_auth_gets_a_token_for_its_key_file() {
    use gcp_auth::TokenProvider;

    let emulator = Emulator::builder().start().await.unwrap();
    let account =
        gcp_auth::CustomServiceAccount::from_json(&emulator.service_account_key_json(EMAIL)).unwrap();
    let token = account.token(&[scopes::CLOUD_PLATFORM, scopes::IAM]).await.unwrap();
    let verified = emulator.verify_access_token(token.as_str()).unwrap();
    assert_eq!(verified.principal, format!("serviceAccount:{EMAIL}"));
    assert_eq!(verified.scopes, [scopes::CLOUD_PLATFORM, scopes::IAM]);

    let journal = emulator.calls(Method::Token);
    assert_eq!(journal.len(), 1);
    assert_eq!(journal[0].caller, Some(verified.principal));
}
