//! Domain-wide delegation: tokens of a user of a Workspace domain.

use std::time::{Duration, SystemTime};

use gcp_iam_credentials::scopes;

use crate::HOUR;
use crate::support::accounts::TARGET;
use crate::support::emulator::{client_of, start};

/// conf: P34
#[tokio::test]
async fn domain_wide_delegation_needs_no_key() {
    let emulator = start().await;
    let client = client_of(&emulator);
    let options = client.impersonate(TARGET).subject("user@corp.example");
    let acting = options.access_token([scopes::PUBSUB, "https://example.com/other"]).unwrap();
    let token = acting.token().await.unwrap();
    let known = emulator.verify_access_token(token.secret()).unwrap();
    assert_eq!(known.principal(), "user:user@corp.example");
    assert_eq!(known.scopes(), [scopes::PUBSUB, "https://example.com/other"]);
    let left = token.expires_at().unwrap().duration_since(SystemTime::now()).unwrap();
    assert!(left > HOUR - Duration::from_secs(120) && left <= HOUR, "{left:?}");
    assert_eq!(acting.info().principal(), Some("user@corp.example"));
}
