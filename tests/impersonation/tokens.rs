//! The tokens of impersonated credentials: access tokens and self-signed JWTs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gcp_iam_credentials::IamCredentialsClient;

use crate::support::accounts::TARGET;
use crate::support::scripted_service::{SOURCE_TOKEN, Script, builder};
use crate::{DELEGATES, HOUR, last_jwt_payload};

/// conf: P1
#[tokio::test]
async fn new_credentials_have_no_token_and_send_nothing() {
    let script = Script::default();
    let acting = script.client().impersonate(TARGET).access_token(["email"]).unwrap();
    assert!(!acting.is_valid() && acting.cached().is_none() && acting.expires_at().is_none());
    assert_eq!(script.calls(), 0);
    acting.token().await.unwrap();
    assert!(acting.is_valid());
}

/// conf: P27, P30, R7
#[tokio::test]
async fn a_token_is_cached_and_replaced_after_its_lifetime() {
    let script = Script::default();
    let acting =
        script.client().impersonate(TARGET).lifetime(Duration::from_secs(2)).access_token(["email"]).unwrap();
    for _ in 0..20 {
        acting.token().await.unwrap();
    }
    assert_eq!(script.calls(), 1);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    acting.token().await.unwrap();
    assert_eq!(script.calls(), 2);
}

/// conf: P57, G71, M27
#[tokio::test]
async fn impersonation_nests_to_any_depth() {
    let script = Script::default();
    let mut client: IamCredentialsClient = script.client();
    for depth in 0..4 {
        let acting = client.impersonate(format!("hop-{depth}@example.com")).access_token(["email"]).unwrap();
        client = script.client_with(builder().credentials(acting));
    }
    client.sign_blob(TARGET, "bytes").await.unwrap();
    let bearers: Vec<String> =
        script.received().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    let expected: Vec<String> = std::iter::once(format!("Bearer {}", SOURCE_TOKEN))
        .chain((0..4).map(|depth| format!("Bearer token-of-hop-{depth}@example.com")))
        .collect();
    assert_eq!(bearers, expected);
}

/// conf: P6
#[tokio::test]
async fn a_self_signed_jwt_names_the_target_and_the_audience() {
    let script = Script::default();
    let options = script.client().impersonate(TARGET).delegates(DELEGATES).lifetime(HOUR / 2);
    let acting = options.self_signed_jwt("https://pubsub.googleapis.com/").unwrap();
    let token = acting.token().await.unwrap();
    let claims = last_jwt_payload(&script);
    assert_eq!(claims["iss"], TARGET);
    assert_eq!(claims["sub"], TARGET);
    assert_eq!(claims["aud"], "https://pubsub.googleapis.com/");
    let (issued, expiry) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    assert_eq!(expiry - issued, 1800);
    assert!(unix_now() - issued < 60);
    assert_eq!(token.expires_at(), Some(UNIX_EPOCH + Duration::from_secs(expiry)));
    assert!(token.secret().starts_with("header."));
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
