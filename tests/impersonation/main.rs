//! Acting as another service account: options, signers, diagnosis, the pool.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

mod advice;
mod broken_chains;
mod diagnosis;
mod options;
mod pool;
#[cfg(feature = "credential-files")]
mod regional_access_boundary;
#[cfg(feature = "_tls")]
mod signed_urls;
#[cfg(feature = "_tls")]
mod signer;
#[cfg(feature = "credential-files")]
mod subject;
mod tokens;

pub(crate) const DELEGATES: [&str; 2] = ["first@example.com", "second@example.com"];

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn full_names() -> Vec<String> {
    DELEGATES.map(|account| format!("projects/-/serviceAccounts/{account}")).to_vec()
}

/// Returns the payload of the last request for a signed JWT.
pub(crate) fn last_jwt_payload(script: &support::scripted_service::Script) -> serde_json::Value {
    let request: gcp_iam_credentials::proto::SignJwtRequest = script.received().last().unwrap().decode();
    assert_eq!(request.delegates, full_names());
    serde_json::from_str(&request.payload).unwrap()
}
