//! Which tokens a program gets.

use std::sync::Arc;
use std::time::Duration;

use gcp_iam_credentials::broker::MetadataServer;
use gcp_iam_credentials::emulator::Method;
use gcp_iam_credentials::scopes;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::emulator::{self, EMAIL};
use crate::support::runtime::ms;
use crate::{IDENTITY, TOKEN, get, start, target, token};

const BUCKETS: &str = "https://www.googleapis.com/auth/devstorage.read_write";

/// Returns the scopes that the emulator knows of a token.
fn scopes_of(emulator: &gcp_iam_credentials::emulator::Emulator, token: &str) -> Vec<String> {
    emulator.verify_access_token(token).unwrap().scopes().to_vec()
}

/// conf: I14
#[tokio::test]
async fn requests_at_the_same_time_cause_one_call() {
    let emulator = emulator::start().await;
    let server = Arc::new(start(&emulator).await);
    let mut requests = JoinSet::new();
    for _ in 0..100 {
        let server = Arc::clone(&server);
        requests.spawn(async move { token(&server, "").await.0 });
    }
    let mut tokens = requests.join_all().await;
    tokens.dedup();
    assert_eq!((tokens.len(), emulator.journal().of_method(Method::GenerateAccessToken).len()), (1, 1));
    assert!((3590..=3600).contains(&token(&server, "").await.1));
}

/// conf: I14
#[tokio::test]
async fn a_token_near_its_end_is_replaced_before_it_is_returned() {
    let emulator = emulator::start().await;
    let target = target(&emulator).lifetime(Duration::from_secs(2));
    let server = MetadataServer::builder(target).start().await.unwrap();
    let (first, _) = token(&server, "").await;
    assert_eq!(token(&server, "").await.0, first);
    // The last quarter has begun.
    tokio::time::sleep(ms(1600)).await;
    let (second, left) = token(&server, "").await;
    assert_ne!(second, first);
    assert_eq!(token(&server, "").await.0, second, "the new one is kept");
    assert!(left <= 2);
}

/// conf: I14
#[tokio::test]
async fn a_wrong_clock_does_not_make_tokens_live_longer() {
    let emulator = emulator::start().await;
    let server = start(&emulator).await;
    emulator.clock().run_ahead(Duration::from_secs(1200));
    assert!(token(&server, "").await.1 <= 3600, "a token never lives longer than it was requested for");
}

/// conf: I13
#[tokio::test]
async fn a_request_for_scopes_gets_those_that_the_server_has() {
    let emulator = emulator::start().await;
    let scopes = [scopes::CLOUD_PLATFORM, BUCKETS];
    let server = MetadataServer::builder(target(&emulator)).scopes(scopes).start().await.unwrap();
    let (all, _) = token(&server, "").await;
    assert_eq!(scopes_of(&emulator, &all), scopes);
    let (some, _) =
        token(&server, &format!("?scopes={BUCKETS},https://www.googleapis.com/auth/pubsub")).await;
    assert_eq!(scopes_of(&emulator, &some), [BUCKETS]);
    assert_eq!(token(&server, "?scopes=https://www.googleapis.com/auth/pubsub").await.0, all);
    assert_eq!(emulator.journal().of_method(Method::GenerateAccessToken).len(), 2);

    let server = MetadataServer::builder(target(&emulator)).scopes([BUCKETS]).start().await.unwrap();
    for beyond in [scopes::CLOUD_PLATFORM, "https://www.googleapis.com/auth/pubsub", "openid", "nonsense"] {
        let (status, body) = get(&server, &format!("{TOKEN}?scopes={beyond}")).await;
        assert_eq!(status, 403, "{beyond}: {body}");
        assert!(body.contains(beyond) && body.contains("\nfix: "), "{body}");
    }
    assert_eq!(emulator.journal().of_method(Method::GenerateAccessToken).len(), 2, "nothing was sent");
}

/// conf: I14
#[tokio::test]
async fn id_tokens_are_for_the_audience_of_the_request() {
    let emulator = emulator::start().await;
    // A lifetime is that of access tokens.
    let target = target(&emulator).lifetime(Duration::from_secs(600));
    let server = MetadataServer::builder(target).start().await.unwrap();
    for (query, audience, email) in [
        ("audience=https://one.example", "https://one.example", None),
        (
            "audience=https%3A%2F%2Ftwo.example%2F&format=full&licenses=TRUE",
            "https://two.example/",
            Some(EMAIL),
        ),
    ] {
        let path = format!("{IDENTITY}?{query}");
        let (status, token) = get(&server, &path).await;
        assert_eq!(status, 200, "{token}");
        let claims: Value = emulator.verify_id_token(&token).unwrap();
        assert_eq!((&claims["aud"], claims["email"].as_str()), (&audience.into(), email), "{query}");
        assert_eq!(get(&server, &path).await.1, token, "it is cached");
    }
    assert_eq!(get(&server, IDENTITY).await.0, 400, "there is no audience");
    assert_eq!(emulator.journal().of_method(Method::GenerateIdToken).len(), 2);
}
