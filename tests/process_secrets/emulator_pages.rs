//! The emulator's pages and its journal, after requests with secrets.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gcp_iam_credentials::emulator::Emulator;
use serde_json::json;

use crate::Scene;
use crate::support::emulator::{EMAIL, text};

/// What shows no secrets. The page of the policy and the credential files hand them out, by design.
const PAGES: [&str; 9] = [
    "/emulator/",
    "/emulator/journal",
    "/emulator/faults",
    "/emulator/clock",
    "/healthz",
    "/oauth2/v3/certs",
    "/emulator/unknown",
    "/service_accounts/v1/metadata/jwk/sa@project.iam.gserviceaccount.com",
    "/emulator/journal?method=Token",
];

pub(crate) async fn run(scene: &Scene) {
    let emulator = crate::support::emulator::start().await;
    let bearer = scene.secrets.token("bearer");
    traffic(scene, emulator.endpoint(), &bearer).await;
    scene.secrets.used("bearer");
    look(scene, &emulator).await;
}

/// Sends requests with secrets: good ones, refused ones and unreadable ones.
pub(crate) async fn traffic(scene: &Scene, endpoint: &str, bearer: &str) {
    let payload = scene.secrets.token("payload of a REST request");
    let assertion = scene.secrets.token("assertion that is none");
    let refresh_token = scene.secrets.token("refresh token that is unknown");
    for name in
        ["bearer", "payload of a REST request", "assertion that is none", "refresh token that is unknown"]
    {
        scene.secrets.used(name);
    }
    let authorization = format!("Bearer {bearer}");
    let path = |verb: &str| format!("{endpoint}/v1/projects/-/serviceAccounts/{EMAIL}:{verb}");
    let encoded = BASE64_STANDARD.encode(&payload);
    let claims = json!({ "sub": payload });
    for (verb, body) in [
        ("signBlob", json!({ "payload": encoded })),
        ("signBlob", json!({ "payload": [encoded] })),
        ("signBlob", json!({ "payload": format!("{encoded}*") })),
        ("signJwt", json!({ "payload": claims.to_string() })),
        ("signJwt", json!({ "payload": claims })),
        ("signJwt", json!({ "payload": payload })),
        ("generateAccessToken", json!({ "scope": ["openid"] })),
        ("generateIdToken", json!({ "audience": "a" })),
    ] {
        let headers = [
            ("authorization", &*authorization),
            ("content-type", "application/json"),
            ("x-goog-iam-authorization-token", bearer),
        ];
        let (_, reply) = text("POST", &path(verb), &headers, body.to_string()).await;
        if let Ok(reply) = serde_json::from_str::<serde_json::Value>(&reply) {
            for field in ["accessToken", "token", "signedBlob", "signedJwt"] {
                if let Some(secret) = reply[field].as_str() {
                    scene.secrets.made(&format!("{field} of a REST reply"), secret);
                }
            }
        }
    }
    forms(scene, endpoint, &assertion, &refresh_token, &payload).await;
    queries(scene, endpoint, bearer, &payload).await;
}

/// Sends forms with secrets to the token endpoint.
async fn forms(scene: &Scene, endpoint: &str, assertion: &str, refresh_token: &str, payload: &str) {
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for body in [
        format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}"),
        format!("grant_type=refresh_token&client_id=a&client_secret={payload}&refresh_token={refresh_token}"),
    ] {
        let (_, reply) = text("POST", &format!("{endpoint}/token"), &form, body).await;
        scene.shown.text("reply of the token endpoint", reply);
    }
    let exchange = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&requested_token_type=\
                    urn:ietf:params:oauth:token-type:access_token&audience=//iam.googleapis.com/x&scope=openid";
    let client = format!("client_id=a&client_secret={payload}");
    for (page, body) in [
        (
            "token",
            format!(
                "{exchange}&subject_token={payload}&subject_token_type=urn:ietf:params:oauth:token-type:jwt"
            ),
        ),
        (
            "token",
            format!(
                "{exchange}&subject_token={payload}&subject_token_type=urn:ietf:params:oauth:token-type:access_token"
            ),
        ),
        (
            "oauthtoken",
            format!("grant_type=authorization_code&{client}&code={payload}&code_verifier={payload}"),
        ),
        ("oauthtoken", format!("grant_type=refresh_token&{client}&refresh_token={refresh_token}")),
        ("introspect", format!("token={payload}")),
        ("revoke", format!("token={refresh_token}")),
    ] {
        let (_, reply) = text("POST", &format!("{endpoint}/v1/{page}"), &form, body).await;
        scene.shown.text("reply of the STS", reply);
    }
}

/// Sends requests with secrets in their queries.
async fn queries(scene: &Scene, endpoint: &str, bearer: &str, payload: &str) {
    let (_, reply) = text("GET", &format!("{endpoint}/tokeninfo?access_token={bearer}"), &[], "").await;
    scene.shown.text("tokeninfo", reply);
    for (method, page) in [
        ("GET", format!("v1/userinfo?access_token={bearer}")),
        ("POST", format!("revoke?token={payload}")),
        (
            "POST",
            format!("v1/projects/-/serviceAccounts/{EMAIL}:signBlob?access_token={payload}&key={bearer}"),
        ),
        (
            "POST",
            format!("v1/projects/-/serviceAccounts/{EMAIL}:signBlob?color={payload}&access_token={bearer}"),
        ),
        ("GET", format!("computeMetadata/v1/instance/id?alt=xml&access_token={payload}")),
    ] {
        let (_, reply) =
            text(method, &format!("{endpoint}/{page}"), &[("metadata-flavor", "Google")], "").await;
        scene.shown.text("a page with secrets in its query", reply);
    }
}

async fn look(scene: &Scene, emulator: &Emulator) {
    for page in PAGES {
        let (_, shown) = text("GET", &format!("{}{page}", emulator.endpoint()), &[], "").await;
        assert!(!shown.is_empty(), "{page}");
        scene.shown.text(page, shown);
    }
    assert!(emulator.journal().entries().len() >= 10);
    scene.shown.debug("journal", &emulator.journal().entries());
    scene.shown.debug("emulator", emulator);
}
