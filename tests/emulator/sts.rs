//! Token exchange: tokens of another platform for access tokens of federated principals.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Policy};
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use serde_json::{Value, json as value};

use crate::support::emulator::{EMAIL, json, jwt_of_key_file, now, rest, start};

const PROVIDER: &str = "projects/12/locations/global/workloadIdentityPools/ci/providers/github";
const POOL: &str = "projects/12/locations/global/workloadIdentityPools/ci";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// A platform whose keys the policy of an emulator contains. Another emulator has the private key.
struct Platform {
    issuer: Emulator,
    google: Emulator,
}

impl Platform {
    async fn start() -> Self {
        let issuer = start().await;
        issuer.service_account_key_json(EMAIL);
        let jwks: Value = serde_json::from_str(&issuer.keys().jwks(EMAIL)).unwrap();
        let provider = |disabled| {
            value!({"oidc": {"issuerUri": ISSUER, "jwks": jwks}, "disabled": disabled,
                "attributeMapping": {"google.subject": "assertion.sub", "attribute.repository": "assertion.repository"},
                "attributeCondition": "assertion.owner == 'octo'"})
        };
        let member = format!("principalSet://iam.googleapis.com/{POOL}/attribute.repository/octo/shop");
        let policy = value!({
            "identityPools": {POOL: {"providers": {"github": provider(false), "off": provider(true)}}},
            "serviceAccounts": {EMAIL: {"grants": [{"members": [member], "role": "roles/iam.workloadIdentityUser"}]}},
        });
        let policy = Policy::from_json(&policy.to_string()).unwrap();
        Self { issuer, google: Emulator::builder().policy(policy).start().await.unwrap() }
    }

    /// Returns a token of the platform with these changes of its claims.
    fn token(&self, changes: Value) -> String {
        let mut claims = value!({"iss": ISSUER, "aud": format!("https://iam.googleapis.com/{PROVIDER}"),
            "sub": "repo:octo/shop", "repository": "octo/shop", "owner": "octo", "iat": now(), "exp": now() + 600});
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        jwt_of_key_file(&self.issuer, &claims.to_string())
    }

    /// Exchanges a token, with these changes of the request.
    async fn exchange(&self, token: &str, changes: Value) -> (u16, Value) {
        let mut request = value!({"grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
            "audience": format!("//iam.googleapis.com/{PROVIDER}"), "scope": CLOUD_PLATFORM, "subjectToken": token,
            "subjectTokenType": "urn:ietf:params:oauth:token-type:jwt"});
        request.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let headers = [("content-type", "application/json")];
        json("POST", &format!("{}/v1/token", self.google.endpoint()), &headers, request.to_string()).await
    }

    async fn impersonate(&self, token: &str) -> u16 {
        let body = value!({ "scope": [CLOUD_PLATFORM] }).to_string();
        rest(&self.google, EMAIL, "generateAccessToken", token, &body).await.0
    }
}

#[tokio::test]
async fn a_token_of_a_platform_is_exchanged_and_its_attributes_count_in_grants() {
    let platform = Platform::start().await;
    let (status, reply) = platform.exchange(&platform.token(value!({})), value!({})).await;
    assert_eq!(status, 200, "{reply}");
    let lifetime = reply["expires_in"].as_u64().unwrap();
    assert!((590..=600).contains(&lifetime), "no longer than the platform's token: {lifetime}");
    let token = reply["access_token"].as_str().unwrap();
    let verified = platform.google.verify_access_token(token).unwrap();
    assert_eq!(verified.principal(), format!("principal://iam.googleapis.com/{POOL}/subject/repo:octo/shop"));
    assert_eq!(platform.impersonate(token).await, 200);

    let other = platform.token(value!({"repository": "octo/other"}));
    let (_, reply) = platform.exchange(&other, value!({})).await;
    assert_eq!(
        platform.impersonate(reply["access_token"].as_str().unwrap()).await,
        403,
        "another repository"
    );
    platform.google.clock().advance(Duration::from_secs(601));
    assert_eq!(platform.impersonate(token).await, 401, "the token has expired");
}

#[tokio::test]
async fn a_form_is_exchanged_like_json() {
    let platform = Platform::start().await;
    let form = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&audience=//iam.googleapis.com/{PROVIDER}\
         &requested_token_type=urn:ietf:params:oauth:token-type:access_token&scope={CLOUD_PLATFORM}\
         &subject_token={}&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token",
        platform.token(value!({}))
    );
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let url = format!("{}/v1beta/token", platform.google.endpoint());
    let (status, reply) = json("POST", &url, &headers, form).await;
    assert_eq!((status, &reply["token_type"]), (200, &"Bearer".into()), "{reply}");
}

#[tokio::test]
async fn each_mistake_has_its_oauth_error() {
    let platform = Platform::start().await;
    let (none, old) = (value!({}), now() - 90_000);
    let off = format!("//iam.googleapis.com/{POOL}/providers/off");
    for (claims, request, error) in [
        (none.clone(), value!({"grantType": "refresh_token"}), "unsupported_grant_type"),
        (
            none.clone(),
            value!({"subjectTokenType": "urn:ietf:params:oauth:token-type:saml2"}),
            "invalid_request",
        ),
        (
            none.clone(),
            value!({"subjectTokenType": "urn:ietf:params:oauth:token-type:mtls"}),
            "invalid_request",
        ),
        (
            none.clone(),
            value!({"subjectTokenType": "urn:ietf:params:aws:token-type:aws4_request"}),
            "invalid_request",
        ),
        (none.clone(), value!({"options": "x"}), "invalid_request"),
        (none.clone(), value!({"audience": "//iam.googleapis.com/x"}), "invalid_target"),
        (none.clone(), value!({"audience": off}), "invalid_target"),
        (none.clone(), value!({"subjectToken": "x"}), "invalid_grant"),
        (value!({"iss": "https://other.example"}), none.clone(), "invalid_grant"),
        (value!({"aud": "https://other.example"}), none.clone(), "invalid_grant"),
        (value!({"exp": now() - 1}), none.clone(), "invalid_grant"),
        (value!({"iat": old, "exp": now() + 60}), none.clone(), "invalid_grant"),
        (value!({"iat": null}), none.clone(), "invalid_grant"),
        (value!({"iat": i64::MIN, "exp": i64::MAX}), none.clone(), "invalid_grant"),
        (value!({"sub": "x".repeat(128)}), none.clone(), "invalid_request"),
        (value!({"owner": "mallory"}), none.clone(), "unauthorized_client"),
        (value!({"owner": null}), none.clone(), "unauthorized_client"),
        (none.clone(), value!({"scope": ""}), "invalid_scope"),
        (none.clone(), value!({"scope": "cloud-platform"}), "invalid_scope"),
    ] {
        let (status, reply) = platform.exchange(&platform.token(claims.clone()), request.clone()).await;
        assert_eq!((status, &reply["error"]), (400, &error.into()), "{claims} {request}: {reply}");
    }
    let token = platform.token(none.clone());
    let forged = token.replacen('.', ".e", 1);
    for token in [forged.as_str(), &token[..token.len() - 4], token.rsplit_once('.').unwrap().0] {
        assert_eq!(platform.exchange(token, none.clone()).await.1["error"], "invalid_grant");
    }
    assert!(
        !format!("{:?}", platform.google.journal().entries()).contains(&token),
        "a token is in the journal"
    );
}
