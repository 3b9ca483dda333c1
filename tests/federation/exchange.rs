//! What is sent to the token service.

use std::collections::BTreeMap;

use gcp_iam_credentials::Credentials;
use gcp_iam_credentials::scopes::{CLOUD_PLATFORM, IAM};
use serde_json::{Value, json};

use crate::support::accounts::TARGET;
use crate::support::federation::{AUDIENCE, JWT};
use crate::support::runtime::until;
use crate::support::token_server::{Answer, TokenServer};

const STAFF: &str = "//iam.googleapis.com/locations/global/workforcePools/staff/providers/okta";

/// Exchanges a subject token at a scripted service, and returns the form and the headers.
async fn exchange(changes: Value) -> (BTreeMap<String, String>, http::HeaderMap) {
    let server = TokenServer::start([Answer::Token(3600)]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "subject+token/=\n").unwrap();
    let mut file = json!({
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": JWT,
        "token_url": server.url(),
        "credential_source": {"file": path},
    });
    for (field, value) in changes.as_object().unwrap() {
        file[field] = value.clone();
    }
    let credentials = Credentials::from_json(&file.to_string()).unwrap();
    // With an impersonation, what follows the exchange is of no interest.
    tokio::select! {
        _ = credentials.token() => {}
        () = until("the exchange", || server.requests() > 0) => {}
    }
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
    };
    let forms = server.forms();
    let fields = forms[0].split('&').map(|field| field.split_once('=').unwrap());
    (fields.map(|(name, value)| (decode(name), decode(value))).collect(), server.heads()[0].clone())
}

/// conf: F6
#[tokio::test]
async fn an_exchange_has_the_documented_fields_and_no_empty_ones() {
    let (form, headers) = exchange(json!({})).await;
    let expected = [
        ("audience", AUDIENCE),
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("scope", CLOUD_PLATFORM),
        ("subject_token", "subject+token/="),
        ("subject_token_type", JWT),
    ];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    assert!(!headers.contains_key("authorization"));
    let metrics = headers["x-goog-api-client"].to_str().unwrap();
    assert!(metrics.starts_with("gl-rust/"), "{metrics}");
    let suffix = "google-byoid-sdk source/file sa-impersonation/false config-lifetime/false";
    assert!(metrics.ends_with(suffix), "{metrics}");
}

/// conf: F6
#[tokio::test]
async fn a_workforce_identity_names_its_project_unless_it_has_its_own_client() {
    let staff = json!({"audience": STAFF, "workforce_pool_user_project": "billing"});
    let (form, _) = exchange(staff.clone()).await;
    assert_eq!(form["options"], r#"{"userProject":"billing"}"#);
    let mut with_client = staff;
    with_client["client_id"] = "me?>".into();
    with_client["client_secret"] = "s:>?".into();
    let (form, headers) = exchange(with_client).await;
    assert!(!form.contains_key("options") && !form.contains_key("client_id"), "{form:?}");
    // Standard base64 with padding, not that of URLs.
    assert_eq!(headers["authorization"], "Basic bWU/PjpzOj4/");
    let (_, headers) = exchange(json!({"client_id": "id"})).await;
    assert_eq!(headers["authorization"], "Basic aWQ6");
}

/// conf: F6, F8
#[tokio::test]
async fn an_identity_that_impersonates_asks_for_the_scope_of_iam_and_says_so() {
    let url = format!("http://127.0.0.1:1/v1/projects/-/serviceAccounts/{TARGET}:generateAccessToken");
    let (form, headers) = exchange(json!({
        "service_account_impersonation_url": url,
        "service_account_impersonation": {"token_lifetime_seconds": 600},
        "scopes": ["email"],
    }))
    .await;
    assert_eq!(form["scope"], IAM);
    let metrics = headers["x-goog-api-client"].to_str().unwrap();
    assert!(metrics.ends_with("sa-impersonation/true config-lifetime/true"), "{metrics}");
}
