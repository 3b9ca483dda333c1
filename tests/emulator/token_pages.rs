//! The pages about tokens and their owners, and the end of tokens.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Fault, Method, Policy, Role};
use gcp_iam_credentials::scopes;
use serde_json::{Value, json as value};
use tonic::Code;

use crate::support::accounts::member;
use crate::support::emulator::{EMAIL, http, json, rest, start};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Returns an access token of [`EMAIL`] that may see its e-mail address.
async fn token(emulator: &Emulator) -> String {
    let scopes = value!({ "scope": [scopes::CLOUD_PLATFORM, scopes::USERINFO_EMAIL] }).to_string();
    let (status, reply) = rest(emulator, EMAIL, "generateAccessToken", "any", &scopes).await;
    assert_eq!(status, 200, "{reply}");
    reply["accessToken"].as_str().unwrap().to_owned()
}

/// Requests a page with a bearer token and an empty form, as Node's library does.
async fn page(emulator: &Emulator, method: &str, path: &str, bearer: &str) -> (u16, Value) {
    let bearer = format!("Bearer {bearer}");
    let headers = [("authorization", bearer.as_str()), FORM];
    json(method, &format!("{}{path}", emulator.endpoint()), &headers, "").await
}

async fn revoke(emulator: &Emulator, token: &str) -> (u16, Value) {
    json("POST", &format!("{}/revoke?token={token}", emulator.endpoint()), &[FORM], "").await
}

/// Exchanges Alice's refresh token.
async fn refresh(emulator: &Emulator, refresh_token: &str) -> (u16, Value) {
    let form = value!({"grant_type": "refresh_token", "client_id": "c", "client_secret": "s", "refresh_token": refresh_token});
    let url = format!("{}/token", emulator.endpoint());
    json("POST", &url, &[("content-type", "application/json")], form.to_string()).await
}

fn keys(reply: &Value) -> Vec<&str> {
    reply.as_object().unwrap().keys().map(String::as_str).collect()
}

/// conf: E4
#[tokio::test]
async fn tokeninfo_takes_the_bearer_token_and_has_the_shape_of_each_version() {
    let emulator = start().await;
    let (token, id) = (token(&emulator).await, emulator.unique_id(EMAIL));
    for path in ["/tokeninfo", "/oauth2/v3/tokeninfo"] {
        let (status, info) = page(&emulator, "POST", path, &token).await;
        assert_eq!(
            (status, &info["sub"], &info["email"]),
            (200, &id.as_str().into(), &EMAIL.into()),
            "{path}"
        );
        assert!(info["expires_in"].is_string() && info["email_verified"] == "true", "{info}");
    }
    for path in ["/oauth2/v1/tokeninfo", "/oauth2/v2/tokeninfo"] {
        let (status, info) = page(&emulator, "GET", path, &token).await;
        let names = [
            "access_type",
            "audience",
            "email",
            "expires_in",
            "issued_to",
            "scope",
            "user_id",
            "verified_email",
        ];
        assert_eq!((status, keys(&info)), (200, names.to_vec()), "{path}");
        assert_eq!((&info["user_id"], &info["verified_email"]), (&id.as_str().into(), &true.into()));
        assert!(info["expires_in"].as_u64().is_some_and(|left| left > 3500), "{info}");
    }
    let (_, reply) = rest(&emulator, EMAIL, "generateIdToken", "any", r#"{"audience": "aud"}"#).await;
    let query = format!("/oauth2/v2/tokeninfo?id_token={}", reply["token"].as_str().unwrap());
    let (_, info) = json("GET", &format!("{}{query}", emulator.endpoint()), &[], "").await;
    assert_eq!((&info["audience"], &info["issuer"]), (&"aud".into(), &"https://accounts.google.com".into()));
    let (status, info) = page(&emulator, "POST", "/tokeninfo", "unknown").await;
    assert_eq!((status, &info["error"]), (400, &"invalid_token".into()));
    let entries = emulator.journal().of_method(Method::TokenInfo);
    assert_eq!(entries[0].principal(), Some(member(EMAIL).as_str()));
    assert_eq!(entries.last().unwrap().outcome().unwrap().reason(), Some("invalid_token"));
}

/// conf: E5
#[tokio::test]
async fn userinfo_tells_whose_a_token_is() {
    let emulator = start().await;
    let (token, id) = (token(&emulator).await, emulator.unique_id(EMAIL));
    for (path, expected) in [
        ("/oauth2/v1/userinfo", value!({"id": id, "email": EMAIL, "verified_email": true})),
        ("/oauth2/v2/userinfo", value!({"id": id, "email": EMAIL, "verified_email": true})),
        ("/userinfo/v2/me", value!({"id": id, "email": EMAIL, "verified_email": true})),
        ("/oauth2/v3/userinfo", value!({"sub": id, "email": EMAIL, "email_verified": true})),
        ("/v1/userinfo", value!({"sub": id, "email": EMAIL, "email_verified": true})),
    ] {
        for method in ["GET", "POST"] {
            assert_eq!(page(&emulator, method, path, &token).await, (200, expected.clone()), "{path}");
        }
    }
    let (_, reply) = rest(&emulator, EMAIL, "generateAccessToken", "any", r#"{"scope": ["openid"]}"#).await;
    let narrow = reply["accessToken"].as_str().unwrap();
    assert_eq!(page(&emulator, "GET", "/v1/userinfo", narrow).await, (200, value!({ "sub": id })));

    emulator.clock().advance(Duration::from_secs(3601));
    for bearer in [token.as_str(), "unknown"] {
        let authorization = format!("Bearer {bearer}");
        let url = format!("{}/oauth2/v3/userinfo", emulator.endpoint());
        let (status, headers, _) = http("GET", &url, &[("authorization", &authorization)], "").await;
        assert_eq!(status, 401);
        assert!(headers["www-authenticate"].to_str().unwrap().contains("error=\"invalid_token\""));
    }
    let entries = emulator.journal().of_method(Method::UserInfo);
    assert_eq!(entries[0].principal(), Some(member(EMAIL).as_str()));
    assert_eq!(entries.last().unwrap().outcome().unwrap().code(), Code::Unauthenticated);
}

/// conf: E5
#[tokio::test]
async fn a_disabled_accounts_token_is_nobodys_and_a_federated_one_has_no_address() {
    let subject =
        "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/subject/s";
    let policy = Policy::new().token("own", member(EMAIL)).token("federated", subject).grant(
        member(EMAIL),
        Role::TOKEN_CREATOR,
        EMAIL,
    );
    let emulator = Emulator::builder().policy(policy.clone()).start().await.unwrap();
    assert_eq!(page(&emulator, "GET", "/v1/userinfo", "own").await.1["email"], EMAIL);
    for path in ["/v1/userinfo", "/tokeninfo", "/oauth2/v2/tokeninfo"] {
        let (status, info) = page(&emulator, "GET", path, "federated").await;
        assert_eq!((status, info.get("email")), (200, None), "{path}: {info}");
    }
    emulator.policy().set(policy.disabled_account(EMAIL)).unwrap();
    assert_eq!(page(&emulator, "GET", "/v1/userinfo", "own").await.0, 401);
    assert_eq!(page(&emulator, "GET", "/tokeninfo", "own").await.0, 400);
}

/// conf: E6
#[tokio::test]
async fn a_revoked_access_token_is_refused_everywhere() {
    let emulator = start().await;
    let token = token(&emulator).await;
    assert_eq!(rest(&emulator, EMAIL, "signBlob", &token, "{}").await.0, 200);
    assert_eq!(revoke(&emulator, &token).await, (200, value!({})));
    let (status, reply) = rest(&emulator, EMAIL, "signBlob", &token, "{}").await;
    assert_eq!(status, 401, "no policy, so any unknown bearer is accepted, but not this one: {reply}");
    assert_eq!(page(&emulator, "GET", "/tokeninfo", &token).await.0, 400);
    assert_eq!(page(&emulator, "GET", "/v1/userinfo", &token).await.0, 401);
    assert!(emulator.verify_access_token(&token).is_none());
    for ended in [token.as_str(), "unknown", "ya29.c.", ""] {
        let (status, reply) = revoke(&emulator, ended).await;
        assert_eq!((status, reply["error"].is_string()), (400, true), "{ended}: {reply}");
    }

    let metadata =
        format!("{}/computeMetadata/v1/instance/service-accounts/default/token", emulator.endpoint());
    let of_machine =
        async || json("GET", &metadata, &[("metadata-flavor", "Google")], "").await.1["access_token"].clone();
    let first = of_machine().await;
    let body = format!("token={}", first.as_str().unwrap());
    assert_eq!(json("POST", &format!("{}/revoke", emulator.endpoint()), &[FORM], body).await.0, 200);
    assert_ne!(of_machine().await, first, "the metadata server returns a live token");

    emulator.faults().inject(Fault::status(Code::Unavailable).method(Method::Revoke).times(1));
    assert_eq!(revoke(&emulator, first.as_str().unwrap()).await.0, 503);
}

/// conf: E6
#[tokio::test]
async fn a_refresh_token_and_its_access_tokens_are_revoked_together() {
    let policy = Policy::new()
        .user("alice@example.com", "1//alice")
        .token("fixed", "user:alice@example.com")
        .grant("allUsers", Role::TOKEN_CREATOR, EMAIL);
    let emulator = Emulator::builder().policy(policy).start().await.unwrap();
    let access_token = async || {
        let (status, reply) = refresh(&emulator, "1//alice").await;
        assert_eq!(status, 200, "{reply}");
        reply["access_token"].as_str().unwrap().to_owned()
    };
    let calls = async |bearer: &str| rest(&emulator, EMAIL, "signBlob", bearer, "{}").await.0;
    for revoke_the_refresh_token in [true, false] {
        let (first, second) = (access_token().await, access_token().await);
        assert_eq!(calls(&first).await, 200);
        let revoked = if revoke_the_refresh_token { "1//alice" } else { &first };
        assert_eq!(revoke(&emulator, revoked).await.0, 200);
        assert_eq!(refresh(&emulator, "1//alice").await.1["error"], "invalid_grant");
        assert_eq!((calls(&first).await, calls(&second).await), (401, 401));
        let file: Value = serde_json::from_str(&emulator.authorized_user_json("alice@example.com")).unwrap();
        let replaced = file["refresh_token"].as_str().unwrap().to_owned();
        assert_eq!(refresh(&emulator, &replaced).await.0, 200, "a new login works");
        emulator.reset();
    }
    assert_eq!(calls("fixed").await, 200);
    assert_eq!(revoke(&emulator, "fixed").await.0, 200, "a token of the policy");
    assert_eq!(calls("fixed").await, 401);
    assert_eq!(page(&emulator, "GET", "/tokeninfo", "fixed").await.0, 400);
    emulator.reset();
    assert_eq!(calls("fixed").await, 200, "a reset restores the policy's tokens");
}

/// conf: E7
#[tokio::test]
async fn key_pages_may_be_cached_and_errors_may_not() {
    let emulator = start().await;
    for (path, cached) in [
        ("/oauth2/v3/certs".to_owned(), true),
        ("/oauth2/v1/certs".to_owned(), true),
        (format!("/service_accounts/v1/metadata/x509/{EMAIL}"), true),
        ("/.well-known/openid-configuration".to_owned(), true),
        ("/service_accounts/v1/metadata/pem/x".to_owned(), false),
    ] {
        let (status, headers, _) = http("GET", &format!("{}{path}", emulator.endpoint()), &[], "").await;
        assert_eq!(status == 200, cached, "{path}");
        let max_age = headers.get("cache-control").map(|value| value.to_str().unwrap());
        assert_eq!(max_age.is_some_and(|value| value.starts_with("public, max-age=900")), cached, "{path}");
        assert_eq!(headers.contains_key("age"), cached, "Go's library demands it: {path}");
    }
}

/// conf: E7
#[tokio::test]
async fn replies_with_tokens_and_about_them_are_not_cached() {
    let emulator = start().await;
    for (method, path) in
        [("POST", "/token"), ("POST", "/revoke"), ("GET", "/tokeninfo"), ("GET", "/v1/userinfo")]
    {
        let (_, headers, _) = http(method, &format!("{}{path}", emulator.endpoint()), &[FORM], "").await;
        assert!(headers["cache-control"].to_str().unwrap().contains("no-store"), "{path}");
    }
}

/// conf: E7
#[tokio::test]
async fn the_discovery_document_leads_to_the_emulators_keys() {
    let emulator = start().await;
    let url = format!("{}/.well-known/openid-configuration", emulator.endpoint());
    let (_, document) = json("GET", &url, &[], "").await;
    assert_eq!(document["issuer"], "https://accounts.google.com");
    let (status, keys) = json("GET", document["jwks_uri"].as_str().unwrap(), &[], "").await;
    assert_eq!((status, keys["keys"].is_array()), (200, true), "{keys}");
    assert_eq!(
        revoke(&emulator, "x").await,
        json("POST", document["revocation_endpoint"].as_str().unwrap(), &[FORM], "token=x").await
    );
}
