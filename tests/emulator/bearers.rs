//! Self-signed JWTs as bearer tokens.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Policy, Role};
use gcp_iam_credentials::{scopes, service_account_path};
use serde_json::{Value, json as value};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::support::accounts::member;
use crate::support::emulator::{EMAIL, access_token, http, jwt_of_key_file, now, start, stub, with_bearer};

const SERVICE: &str = "https://iamcredentials.googleapis.com/";
const REJECTED: &str = "ACCESS_TOKEN_TYPE_UNSUPPORTED";

/// Returns a self-signed JWT for this API that is valid for an hour from `now`, with these changes.
fn jwt_with(emulator: &Emulator, now: u64, changes: Value) -> String {
    let mut claims = value!({"iss": EMAIL, "sub": EMAIL, "aud": SERVICE, "iat": now, "exp": now + 3600});
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    jwt_of_key_file(emulator, &claims.to_string())
}

/// Requests an access token with a bearer token. Returns the reason of a refusal.
async fn ask(emulator: &Emulator, bearer: &str) -> Result<(), (Code, String)> {
    let call = stub(emulator).generate_access_token(with_bearer(access_token(EMAIL), bearer)).await;
    let reason = |status: Status| (status.code(), status.get_details_error_info().unwrap().reason);
    call.map(drop).map_err(reason)
}

/// conf: A18
#[tokio::test]
async fn a_self_signed_jwt_for_this_api_is_a_bearer_token() {
    let (emulator, now) = (start().await, now());
    let (endpoint, port) = (emulator.endpoint(), emulator.address().port());
    for changes in [
        value!({}),
        value!({"aud": SERVICE.trim_end_matches('/')}),
        value!({"aud": format!("{SERVICE}google.iam.credentials.v1.IAMCredentials")}),
        value!({"aud": "https://iamcredentials.mtls.googleapis.com/"}),
        value!({"aud": endpoint}),
        value!({"aud": format!("{endpoint}/")}),
        value!({"aud": format!("http://localhost:{port}/")}),
        value!({"aud": null, "scope": scopes::CLOUD_PLATFORM}),
        value!({"aud": null, "scope": format!("{} {}", scopes::PUBSUB, scopes::IAM)}),
        value!({"iat": now - 3000, "exp": now + 600}),
        value!({"iat": now as f64 + 0.5, "exp": now as f64 + 60.25}),
    ] {
        assert_eq!(ask(&emulator, &jwt_with(&emulator, now, changes.clone())).await, Ok(()), "{changes}");
        let entry = emulator.journal().entries().pop().unwrap();
        assert_eq!(entry.principal(), Some(member(EMAIL).as_str()), "{changes}");
    }
}

/// conf: A18
#[tokio::test]
async fn a_self_signed_jwt_that_google_would_reject_is_rejected() {
    let unauthenticated = |reason: &str| (Code::Unauthenticated, reason.to_owned());
    let scope = (Code::PermissionDenied, "ACCESS_TOKEN_SCOPE_INSUFFICIENT".to_owned());
    let (emulator, now) = (start().await, now());
    for (changes, expected) in [
        (value!({"aud": "https://pubsub.googleapis.com/"}), unauthenticated(REJECTED)),
        (value!({"aud": "https://iamcredentials.googleapis.com.evil.example/"}), unauthenticated(REJECTED)),
        (value!({"aud": format!("{SERVICE}google.iam.credentials.v1.Other")}), unauthenticated(REJECTED)),
        (value!({"aud": "http://other.example/"}), unauthenticated(REJECTED)),
        (value!({"aud": [SERVICE]}), unauthenticated(REJECTED)),
        (value!({"aud": null}), unauthenticated(REJECTED)),
        (value!({"aud": null, "scope": ""}), unauthenticated(REJECTED)),
        (value!({"aud": null, "scope": scopes::PUBSUB}), scope.clone()),
        (value!({"sub": "user@example.com"}), unauthenticated(REJECTED)),
        (value!({"sub": null}), unauthenticated(REJECTED)),
        (value!({"exp": now + 3601}), unauthenticated(REJECTED)),
        (value!({"iat": now + 1800}), unauthenticated(REJECTED)),
        (value!({"iat": null}), unauthenticated(REJECTED)),
        (value!({"exp": null}), unauthenticated(REJECTED)),
        (value!({"iat": now + 60, "exp": now + 30}), unauthenticated(REJECTED)),
        (value!({"iat": now - 3600, "exp": now - 1}), unauthenticated("ACCESS_TOKEN_EXPIRED")),
    ] {
        let outcome = ask(&emulator, &jwt_with(&emulator, now, changes.clone())).await;
        assert_eq!(outcome, Err(expected), "{changes}");
    }
    let jwt = jwt_with(&emulator, now, value!({}));
    emulator.clock().advance(Duration::from_secs(3601));
    assert_eq!(ask(&emulator, &jwt).await, Err(unauthenticated("ACCESS_TOKEN_EXPIRED")));
}

/// conf: A18
#[tokio::test]
async fn with_a_policy_only_its_own_accounts_sign_bearer_tokens() {
    let policy = || Policy::new().grant(member(EMAIL), Role::TOKEN_CREATOR, EMAIL);
    let emulator = Emulator::builder().policy(policy()).start().await.unwrap();
    let jwt = jwt_with(&emulator, now(), value!({}));
    assert_eq!(ask(&emulator, &jwt).await, Ok(()));

    let elsewhere = Emulator::builder().policy(policy()).start().await.unwrap();
    let rejected = Err((Code::Unauthenticated, REJECTED.to_owned()));
    assert_eq!(ask(&elsewhere, &jwt).await, rejected, "another key of the same account signed it");
    let (claims, _) = jwt.rsplit_once('.').unwrap();
    for signature in ["", "AAAA"] {
        assert_eq!(ask(&emulator, &format!("{claims}.{signature}")).await, rejected);
    }
    emulator
        .policy()
        .set(Policy::new().grant("allUsers", Role::TOKEN_CREATOR, "b@p.iam.gserviceaccount.com"))
        .unwrap();
    assert_eq!(ask(&emulator, &jwt).await, rejected, "the account doesn't exist any more");
}

/// conf: S4
#[tokio::test]
async fn a_challenge_says_whether_another_token_or_another_scope_helps() {
    let realm = "Bearer realm=\"https://accounts.google.com/\"";
    let (iam, platform) = (scopes::IAM, scopes::CLOUD_PLATFORM);
    let policy = Policy::new()
        .token_with_scopes("narrow", "user:alice@example.com", [scopes::PUBSUB])
        .token("ungranted", "user:bob@example.com");
    let emulator = Emulator::builder().policy(policy).start().await.unwrap();
    let url = format!("{}/v1/{}:signBlob", emulator.endpoint(), service_account_path("-", EMAIL));
    for (bearer, status, expected) in [
        ("", 401, Some(realm.to_owned())),
        ("Bearer unknown", 401, Some(format!("{realm}, error=\"invalid_token\""))),
        (
            "Bearer narrow",
            403,
            Some(format!("{realm}, error=\"insufficient_scope\", scope=\"{iam} {platform}\"")),
        ),
        ("Bearer ungranted", 404, None),
    ] {
        let headers: &[_] = if bearer.is_empty() { &[] } else { &[("authorization", bearer)] };
        let (rest, challenges, _) = http("POST", &url, headers, "").await;
        let challenge = challenges.get("www-authenticate").map(|value| value.to_str().unwrap());
        assert_eq!((rest.as_u16(), challenge), (status, expected.as_deref()), "{bearer}");
        let mut request = Request::new(access_token(EMAIL));
        if !bearer.is_empty() {
            request.metadata_mut().insert("authorization", bearer.parse().unwrap());
        }
        let refusal = stub(&emulator).generate_access_token(request).await.unwrap_err();
        let challenge = refusal.metadata().get("www-authenticate").map(|value| value.to_str().unwrap());
        assert_eq!(challenge, expected.as_deref(), "{bearer}");
    }
}
