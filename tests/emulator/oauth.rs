//! The emulator's token endpoint, and the credential files that name it.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gcp_iam_credentials::emulator::{Emulator, Method, Policy, Role};
use gcp_iam_credentials::scopes;
use serde_json::{Value, json as value};

use crate::support::accounts::member;
use crate::support::emulator::{EMAIL, json, now, rest, signed_jwt, start};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Returns a percent-encoded form.
fn form(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    pairs.iter().map(|(name, text)| format!("{name}={}", encode(text))).collect::<Vec<_>>().join("&")
}

async fn post_form(emulator: &Emulator, pairs: &[(&str, &str)]) -> (u16, Value) {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    json("POST", &format!("{}/token", emulator.endpoint()), &headers, form(pairs)).await
}

/// Returns the claims of a JWT, without verifying it.
fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn unmodified_gcp_auth_gets_a_token_for_its_key_file() {
    use gcp_auth::TokenProvider;

    let emulator = Emulator::builder().start().await.unwrap();
    let account =
        gcp_auth::CustomServiceAccount::from_json(&emulator.service_account_key_json(EMAIL)).unwrap();
    let token = account.token(&[scopes::CLOUD_PLATFORM, scopes::IAM]).await.unwrap();
    let verified = emulator.verify_access_token(token.as_str()).unwrap();
    assert_eq!(verified.principal(), member(EMAIL));
    assert_eq!(verified.scopes(), [scopes::CLOUD_PLATFORM, scopes::IAM]);

    let journal = emulator.journal().of_method(Method::Token);
    assert_eq!(journal.len(), 1);
    assert_eq!(journal[0].principal(), Some(verified.principal()));
}

/// Returns the claims of a valid assertion, with these changes.
fn claims_with(emulator: &Emulator, changes: Value) -> Value {
    let mut claims = value!({"iss": EMAIL, "aud": format!("{}/token", emulator.endpoint()), "scope": "openid email",
        "iat": now(), "exp": now() + 3600});
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    claims
}

/// Exchanges an assertion for a token.
async fn exchange(emulator: &Emulator, assertion: &str) -> (u16, Value) {
    post_form(emulator, &[("grant_type", JWT_BEARER), ("assertion", assertion)]).await
}

#[tokio::test]
async fn an_assertion_is_exchanged_for_a_token_of_its_issuer_or_subject() {
    let emulator = start().await;
    let token = signed_jwt(&emulator, &claims_with(&emulator, value!({}))).await;
    let (status, reply) = exchange(&emulator, &token).await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!((&reply["token_type"], &reply["expires_in"]), (&"Bearer".into(), &3599.into()));
    let verified = emulator.verify_access_token(reply["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(verified.scopes(), ["openid", "email"]);
    assert!(
        !format!("{:?}", emulator.journal().entries()).contains(&token),
        "the journal contains the assertion"
    );

    let changes = value!({"aud": "https://oauth2.googleapis.com/token", "sub": "user@corp.example"});
    let delegated = signed_jwt(&emulator, &claims_with(&emulator, changes)).await;
    let (_, reply) = exchange(&emulator, &delegated).await;
    let verified = emulator.verify_access_token(reply["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(verified.principal(), "user:user@corp.example", "domain-wide delegation");

    let changes = value!({"target_audience": "https://service.example"});
    let wants_id = signed_jwt(&emulator, &claims_with(&emulator, changes)).await;
    let (_, reply) = exchange(&emulator, &wants_id).await;
    let id: Value = emulator.verify_id_token(reply["id_token"].as_str().unwrap()).unwrap();
    assert_eq!((&id["aud"], &id["email"]), (&"https://service.example".into(), &EMAIL.into()));
}

/// conf: E8
#[tokio::test]
async fn an_assertion_comes_in_the_legacy_form_and_as_json_too() {
    const LEGACY: &str = "http://oauth.net/grant_type/jwt/1.0/bearer";
    let emulator = start().await;
    let changes = value!({"sub": "user@corp.example"});
    let token = signed_jwt(&emulator, &claims_with(&emulator, changes)).await;
    let legacy = [("grant_type", "assertion"), ("assertion_type", LEGACY), ("assertion", &*token)];
    let (status, reply) = post_form(&emulator, &legacy).await;
    assert_eq!(status, 200, "{reply}");
    let verified = emulator.verify_access_token(reply["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(verified.principal(), "user:user@corp.example");
    let (status, reply) = post_form(&emulator, &[legacy[0], legacy[2]]).await;
    assert_eq!((status, &reply["error"]), (400, &"invalid_request".into()), "no assertion_type");

    let url = format!("{}/token", emulator.endpoint());
    let body = value!({"grant_type": JWT_BEARER, "assertion": token}).to_string();
    for content_type in ["application/json", "application/json; charset=utf-8"] {
        let (status, reply) = json("POST", &url, &[("content-type", content_type)], body.clone()).await;
        assert_eq!((status, reply["access_token"].is_string()), (200, true), "{reply}");
    }
    for body in ["{", "[]", r#"{"grant_type": 7}"#, ""] {
        let (status, reply) = json("POST", &url, &[("content-type", "application/json")], body).await;
        assert_eq!((status, &reply["error"]), (400, &"invalid_request".into()), "{body}");
    }
    let (_, reply) =
        json("POST", &url, &[], form(&[("grant_type", JWT_BEARER), ("assertion", &token)])).await;
    assert!(reply["access_token"].is_string(), "without a content type it is a form: {reply}");
}

/// conf: A24
#[tokio::test]
async fn an_invalid_assertion_is_refused() {
    let emulator = start().await;
    for (changes, error) in [
        (value!({"iss": "unknown@project.iam.gserviceaccount.com"}), "invalid_grant"),
        (value!({"aud": "https://elsewhere.example/token"}), "invalid_grant"),
        (value!({"iat": now() + 7200, "exp": now() + 9000}), "invalid_grant"),
        (value!({"exp": now() + 9000}), "invalid_grant"),
        (value!({"iat": null}), "invalid_grant"),
        (value!({"scope": ""}), "invalid_scope"),
        (value!({"scope": "cloud-platform"}), "invalid_scope"),
        (value!({"scope": "openid,email"}), "invalid_scope"),
        (value!({"scope": format!("{},{}", scopes::IAM, scopes::PUBSUB)}), "invalid_scope"),
    ] {
        let invalid = signed_jwt(&emulator, &claims_with(&emulator, changes.clone())).await;
        let (status, reply) = exchange(&emulator, &invalid).await;
        assert_eq!((status, &reply["error"]), (400, &error.into()), "{changes}: {reply}");
    }
    let token = signed_jwt(&emulator, &claims_with(&emulator, value!({}))).await;
    let tampered = format!("{}x", &token[..token.len() - 1]);
    let (_, reply) = exchange(&emulator, &tampered).await;
    assert_eq!(reply["error"], "invalid_grant", "a changed signature");
    emulator.clock().advance(Duration::from_secs(3601));
    let (_, reply) = exchange(&emulator, &token).await;
    assert_eq!(reply["error"], "invalid_grant", "an expired assertion");
}

#[tokio::test]
async fn an_invalid_form_is_refused() {
    let emulator = start().await;
    for (pairs, error) in [
        (&[("grant_type", "password")][..], "unsupported_grant_type"),
        (&[][..], "invalid_request"),
        (&[("grant_type", JWT_BEARER), ("assertion", "a.b.c")][..], "invalid_grant"),
        (&[("grant_type", "refresh_token"), ("refresh_token", "x")][..], "invalid_client"),
    ] {
        let (_, reply) = post_form(&emulator, pairs).await;
        assert_eq!(reply["error"], error, "{pairs:?}");
    }
}

#[tokio::test]
async fn domain_wide_delegation_needs_its_scopes_in_the_policy() {
    let policy = Policy::new()
        .token("any", "user:a@example.com")
        .grant("allUsers", Role::TOKEN_CREATOR, EMAIL)
        .domain_wide_delegation(EMAIL, ["openid"]);
    let emulator = Emulator::builder().policy(policy).start().await.unwrap();
    for (scope, expected) in [("openid", 200), ("openid email", 401)] {
        let changes = value!({"sub": "user@corp.example", "scope": scope});
        let token = signed_jwt(&emulator, &claims_with(&emulator, changes)).await;
        let (status, reply) = exchange(&emulator, &token).await;
        assert_eq!(status, expected, "{reply}");
        if status == 401 {
            assert_eq!(reply["error"], "unauthorized_client");
        }
    }
}

#[tokio::test]
async fn a_users_file_gets_tokens_by_its_refresh_token() {
    let emulator = start().await;
    let file: Value = serde_json::from_str(&emulator.authorized_user_json("alice@example.com")).unwrap();
    let text = |name: &str| file[name].as_str().unwrap().to_owned();
    assert_eq!(text("type"), "authorized_user");
    assert_eq!(text("token_uri"), format!("{}/token", emulator.endpoint()));
    let (id, secret, refresh) = (text("client_id"), text("client_secret"), text("refresh_token"));
    let pairs = [
        ("grant_type", "refresh_token"),
        ("client_id", &*id),
        ("client_secret", &*secret),
        ("refresh_token", &*refresh),
    ];
    let (status, reply) = post_form(&emulator, &pairs).await;
    assert_eq!(status, 200, "{reply}");
    let token = emulator.verify_access_token(reply["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(token.principal(), "user:alice@example.com");
    assert_eq!(claims(reply["id_token"].as_str().unwrap())["aud"], text("client_id"));
    let (_, reply) = post_form(&emulator, &[pairs[0], pairs[1], pairs[2], ("refresh_token", "other")]).await;
    assert_eq!(reply["error"], "invalid_grant");
    let narrow = [&pairs[..], &[("scope", "cloud-platform")]].concat();
    assert_eq!(post_form(&emulator, &narrow).await.1["error"], "invalid_scope");
}

#[tokio::test]
async fn an_impersonated_service_account_file_names_the_emulator() {
    let emulator = start().await;
    let source = emulator.authorized_user_json("alice@example.com");
    let file = emulator
        .impersonated_service_account_json(&source, EMAIL, ["mid@p.iam.gserviceaccount.com"])
        .unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    let url = file["service_account_impersonation_url"].as_str().unwrap();
    let headers = [("authorization", "Bearer any"), ("content-type", "application/json")];
    let body = value!({"scope": ["openid"], "delegates": file["delegates"]}).to_string();
    let (status, reply) = json("POST", url, &headers, body).await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(file["source_credentials"]["type"], "authorized_user");
    emulator.impersonated_service_account_json("{", EMAIL, [""; 0]).unwrap_err();
}

#[tokio::test]
async fn tokeninfo_describes_live_tokens_only() {
    let emulator = start().await;
    let scope = format!(r#"{{"scope": ["{}", "{}"]}}"#, scopes::CLOUD_PLATFORM, scopes::USERINFO_EMAIL);
    let (_, reply) = rest(&emulator, EMAIL, "generateAccessToken", "any", &scope).await;
    let token = reply["accessToken"].as_str().unwrap();
    let url = format!("{}/tokeninfo", emulator.endpoint());
    let (_, info) = json("GET", &format!("{url}?access_token={token}"), &[], "").await;
    assert_eq!((&info["email"], &info["azp"]), (&EMAIL.into(), &emulator.unique_id(EMAIL).into()));
    assert!(info["expires_in"].as_str().unwrap().parse::<u32>().unwrap() > 3500);
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let (_, posted) = json("POST", &url, &headers, form(&[("access_token", token)])).await;
    assert_eq!(posted["scope"], info["scope"]);

    let (_, reply) = rest(&emulator, EMAIL, "generateIdToken", "any", r#"{"audience": "aud"}"#).await;
    let (_, info) =
        json("GET", &format!("{url}?id_token={}", reply["token"].as_str().unwrap()), &[], "").await;
    assert_eq!((&info["aud"], &info["alg"]), (&"aud".into(), &"RS256".into()));
    emulator.clock().advance(Duration::from_secs(3601));
    for query in [format!("access_token={token}"), "id_token=x".to_owned(), String::new()] {
        let (status, info) = json("GET", &format!("{url}?{query}"), &[], "").await;
        assert_eq!((status, &info["error"]), (400, &"invalid_token".into()), "{query}");
    }
}

#[tokio::test]
async fn a_public_url_is_the_endpoint_in_credential_files() {
    let emulator = Emulator::builder().public_url("http://emulator:8095/").start().await.unwrap();
    assert_eq!(emulator.endpoint(), "http://emulator:8095");
    let file: Value = serde_json::from_str(&emulator.service_account_key_json(EMAIL)).unwrap();
    assert_eq!(file["token_uri"], "http://emulator:8095/token");
    for wrong in ["emulator:8095", "ftp://emulator", "https://emulator/path", "http://", "http://a b"] {
        let error = Emulator::builder().public_url(wrong).start().await.expect_err(wrong);
        assert!(error.to_string().contains(wrong), "{error}");
    }
}
