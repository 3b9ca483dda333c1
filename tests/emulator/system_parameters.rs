//! The query parameters that every Google API takes, and lenient forms of JSON.

use gcp_iam_credentials::emulator::{Emulator, Fault, Method, Policy, Role};
use gcp_iam_credentials::{scopes, service_account_path};
use serde_json::{Value, json as value};
use tonic::Code;

use crate::support::emulator::{EMAIL, http, json, rest, start};

const JSON: (&str, &str) = ("content-type", "application/json");
const BEARER: (&str, &str) = ("authorization", "Bearer t");

/// Starts an emulator in which the bearer token `t` may do everything with [`EMAIL`].
async fn start_with_policy() -> Emulator {
    let policy = Policy::new().token("t", "user:a@b.c").grant("user:a@b.c", Role::TOKEN_CREATOR, EMAIL);
    Emulator::builder().policy(policy).start().await.unwrap()
}

fn url(emulator: &Emulator, query: &str) -> String {
    format!("{}/v1/{}:signBlob?{query}", emulator.endpoint(), service_account_path("-", EMAIL))
}

async fn sign(emulator: &Emulator, query: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    json("POST", &url(emulator, query), headers, "{}").await
}

/// conf: E9
#[tokio::test]
async fn a_token_and_a_quota_project_may_come_in_the_query() {
    let emulator = start_with_policy().await;
    for query in ["access_token=t", "oauth_token=t", "$access_token=t", "access_token=t&key=AIza"] {
        assert_eq!(sign(&emulator, query, &[JSON]).await.0, 200, "{query}");
    }
    let (status, _) = sign(&emulator, "access_token=wrong", &[JSON, BEARER]).await;
    assert_eq!(status, 200, "the header has priority");
    assert_eq!(sign(&emulator, "access_token=wrong", &[JSON]).await.0, 401);
    let (status, reply) = sign(&emulator, "$userProject=none", &[JSON, BEARER]).await;
    assert_eq!((status, reason(&reply)), (403, "USER_PROJECT_DENIED"), "{reply}");
    let journal = format!("{:?}", emulator.journal().entries());
    assert!(!journal.contains("AIza") && !journal.contains("wrong"), "{journal}");
}

fn reason(reply: &Value) -> &str {
    reply["error"]["details"][0]["reason"].as_str().unwrap_or_default()
}

/// conf: E9
#[tokio::test]
async fn an_api_key_alone_is_told_that_keys_are_not_supported() {
    let emulator = start_with_policy().await;
    for (query, headers) in [("key=AIza", &[JSON][..]), ("", &[JSON, ("x-goog-api-key", "AIza")])] {
        let (status, reply) = sign(&emulator, query, headers).await;
        assert_eq!((status, reason(&reply)), (401, "CREDENTIALS_MISSING"), "{reply}");
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("API keys are not supported by this API."), "{message}");
    }
    let (_, reply) = sign(&emulator, "", &[JSON]).await;
    assert!(reply["error"]["message"].as_str().unwrap().starts_with("Request is missing"), "{reply}");
}

/// conf: E9
#[tokio::test]
async fn the_query_chooses_fields_and_layout_of_a_reply() {
    let emulator = start_with_policy().await;
    let keys = |reply: &Value| reply.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for (query, expected) in [
        ("fields=keyId", &["keyId"][..]),
        ("$fields=signedBlob", &["signedBlob"]),
        ("fields=keyId,signedBlob", &["keyId", "signedBlob"]),
        ("fields=*", &["keyId", "signedBlob"]),
        ("fields=", &["keyId", "signedBlob"]),
    ] {
        let (status, reply) = sign(&emulator, query, &[JSON, BEARER]).await;
        assert_eq!(
            (status, keys(&reply)),
            (200, expected.iter().map(|key| (*key).to_owned()).collect()),
            "{query}"
        );
    }
    for query in ["fields=color", "fields=keyId/x", "fields=keyId,color"] {
        let (status, reply) = sign(&emulator, query, &[JSON, BEARER]).await;
        let message = reply["error"]["message"].as_str().unwrap();
        assert_eq!(
            (status, message.starts_with("Error expanding 'fields' parameter.")),
            (400, true),
            "{query}"
        );
    }
    for (query, bearer, lines) in
        [("", BEARER, 4), ("prettyPrint=false", BEARER, 1), ("$prettyPrint=false", ("x-other", ""), 1)]
    {
        let (_, _, body) = http("POST", &url(&emulator, query), &[JSON, bearer], "{}").await;
        assert_eq!(String::from_utf8(body.to_vec()).unwrap().lines().count(), lines, "{query}");
    }
}

/// conf: E9
#[tokio::test]
async fn the_query_may_name_the_content_type_and_the_version_but_nothing_unknown() {
    let emulator = start_with_policy().await;
    let text = ("content-type", "text/plain");
    assert_eq!(sign(&emulator, "", &[text, BEARER]).await.0, 400);
    assert_eq!(sign(&emulator, "$ct=application%2Fjson", &[text, BEARER]).await.0, 200, "as web pages do");
    assert_eq!(sign(&emulator, "$ct=text/plain", &[JSON, BEARER]).await.0, 400);
    let harmless = "%24apiVersion=v1&callback=f&quotaUser=q&uploadType=u&upload_protocol=p&$.xgafv=2\
                    &alt=json&$alt=json%3Benum-encoding%3Dint&prettyPrint=true";
    assert_eq!(sign(&emulator, harmless, &[JSON, BEARER]).await.0, 200);
    for (query, named) in [
        ("color=red&size=9", &["\"color\"", "\"size\""][..]),
        ("color=red&color=blue", &["\"color\""]),
        ("%ff=1", &["\u{fffd}"]),
        ("ct=application/json", &["\"ct\""]),
        ("apiVersion=v1", &["\"apiVersion\""]),
        ("alt=proto", &["'alt'"]),
    ] {
        let (status, reply) = sign(&emulator, query, &[JSON, BEARER]).await;
        let message = reply["error"]["message"].as_str().unwrap();
        assert_eq!((status, &reply["error"]["status"]), (400, &"INVALID_ARGUMENT".into()), "{query}");
        assert!(named.iter().all(|name| message.contains(name)), "{query}: {message}");
    }
    // These pages were answered before their handler, without Google's error.
    for path in ["/tokeninfo", "/computeMetadata/v1/instance/id"] {
        let url =
            format!("{}{path}?access_token=a&access_token=b&recursive=1&recursive=2", emulator.endpoint());
        let (status, _, body) = http("GET", &url, &[("metadata-flavor", "Google")], "").await;
        assert_eq!(status == 200, path != "/tokeninfo", "{body:?}");
        assert!(!body.starts_with(b"Failed to deserialize"), "{body:?}");
    }
}

/// conf: E10
#[tokio::test]
async fn a_text_stands_for_a_list_and_for_a_flag() {
    let emulator = start().await;
    let body = value!({"scope": scopes::CLOUD_PLATFORM, "delegates": EMAIL}).to_string();
    let (status, reply) = rest(&emulator, EMAIL, "generateAccessToken", "any", &body).await;
    assert_eq!(status, 200, "{reply}");
    let token = emulator.verify_access_token(reply["accessToken"].as_str().unwrap()).unwrap();
    assert_eq!(token.scopes(), [scopes::CLOUD_PLATFORM]);
    assert_eq!(emulator.journal().entries()[0].delegates(), [EMAIL]);
    for (flag, shown) in [("true", true), ("false", false)] {
        let body = value!({"audience": "aud", "includeEmail": flag}).to_string();
        let (_, reply) = rest(&emulator, EMAIL, "generateIdToken", "any", &body).await;
        let claims: Value = emulator.verify_id_token(reply["token"].as_str().unwrap()).unwrap();
        assert_eq!(claims.get("email").is_some(), shown, "{flag}");
    }
}

/// conf: E10
#[tokio::test]
async fn all_unknown_fields_of_a_body_are_named() {
    let emulator = start().await;
    let body = r#"{"scopes": ["x"], "lifetimes": "1s", "scope": ["openid"]}"#;
    let (status, reply) = rest(&emulator, EMAIL, "generateAccessToken", "any", body).await;
    let message = reply["error"]["message"].as_str().unwrap();
    assert_eq!((status, message.lines().count()), (400, 2), "{message}");
    assert!(message.contains("\"scopes\"") && message.contains("\"lifetimes\""), "{message}");
    assert_eq!(reply["error"]["details"][0]["fieldViolations"].as_array().unwrap().len(), 2);
}

/// conf: E11
#[tokio::test]
async fn no_credentials_are_restricted_to_locations() {
    let emulator = start_with_policy().await;
    let get = async |resource: &str, headers: &[(&str, &str)]| {
        json("GET", &format!("{}/v1/{resource}/allowedLocations", emulator.endpoint()), headers, "").await
    };
    let (account, pool) =
        (service_account_path("-", EMAIL), "projects/12/locations/global/workloadIdentityPools/ci");
    for resource in [account.as_str(), pool, "locations/global/workforcePools/corp"] {
        let (status, reply) = get(resource, &[BEARER]).await;
        assert_eq!(
            (status, reply),
            (200, value!({"locations": [], "encodedLocations": "0x0"})),
            "{resource}"
        );
    }
    assert_eq!(get(&account, &[]).await.0, 401);
    assert_eq!(get(&service_account_path("-", "other@p.iam.gserviceaccount.com"), &[BEARER]).await.0, 404);
    assert_eq!(get("projects/-/topics/t", &[BEARER]).await.0, 404);
    emulator.faults().inject(Fault::status(Code::Unavailable).method(Method::AllowedLocations).times(1));
    assert_eq!(get(&account, &[BEARER]).await.0, 503);
}

/// conf: E12
#[tokio::test]
async fn without_a_policy_access_tokens_live_for_an_hour_at_most() {
    let emulator = start().await;
    for (lifetime, expected) in [("3600s", 200), ("3600.000000001s", 400), ("3601s", 400), ("43200s", 400)] {
        let body = value!({"scope": [scopes::CLOUD_PLATFORM], "lifetime": lifetime}).to_string();
        let (status, reply) = rest(&emulator, EMAIL, "generateAccessToken", "any", &body).await;
        assert_eq!(status, expected, "{lifetime}: {reply}");
    }
}
