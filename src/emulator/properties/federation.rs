//! What holds for every token exchange.

use std::cell::LazyCell;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::in_memory::{InMemory, Reply};
use crate::emulator::clock::unix;
use crate::emulator::iam::policy::{ExternalAccount, IdentityProvider, Policy};
use crate::properties::{assert_is_plain, text_lines};
use crate::scopes::CLOUD_PLATFORM;

const POOL: &str = "projects/1/locations/global/workloadIdentityPools/p";
const OIDC: &str = "projects/1/locations/global/workloadIdentityPools/p/providers/oidc";
const AWS: &str = "projects/1/locations/global/workloadIdentityPools/p/providers/aws";
const ISSUER: &str = "https://issuer.example";

thread_local! {
    static EMULATOR: LazyCell<InMemory> = LazyCell::new(|| InMemory::new(None));
}

/// A token of an external account is exchanged for one of a principal of the pool if its claims keep the
/// rules, read here in another way. Any other is refused with an OAuth error.
///
/// The input is the expression for the subject, the condition, and the claims as JSON. `@60` stands for the
/// instant in 60 seconds.
pub fn federated_tokens(data: &[u8]) {
    let Some([subject, condition, claims]) = text_lines(data) else { return };
    let now = unix(SystemTime::now());
    let claims = super::assertion::with_instants(claims, now);
    let Ok(Value::Object(claims)) = serde_json::from_str(&claims) else { return };
    let mut provider = IdentityProvider::oidc(ISSUER).map("google.subject", subject);
    if !condition.is_empty() {
        provider = provider.condition(condition);
    }
    let account = claims
        .iter()
        .fold(ExternalAccount::new(OIDC), |account, (name, value)| account.claim(name, value.clone()));
    let policy = Policy::new().identity_provider(OIDC, provider).external_account("a", account);
    if policy.validate().is_err() {
        return;
    }
    EMULATOR.with(|emulator| {
        emulator.state.identities.set_policy(Some(policy));
        let Some(token) = emulator.send("GET", "/emulator/external_accounts/a/token", "text/plain", b"")
        else {
            panic!("the request is legal")
        };
        assert!(token.status.is_success(), "{}", token.text);
        let reply = exchange(emulator, OIDC, "urn:ietf:params:oauth:token-type:jwt", "", &token.text);
        match reply.status.is_success() {
            true => assert_is_of_the_pool(emulator, &reply, &claims.into(), now),
            false => reply.assert_is_an_oauth_error(),
        }
    });
}

fn assert_is_of_the_pool(emulator: &InMemory, reply: &Reply, claims: &Value, now: i64) {
    let (json, number) = (reply.json(), |claim: &str| claims[claim].as_f64());
    let lifetime = json["expires_in"].as_f64().unwrap_or(f64::NAN);
    assert!((0.0..=3600.0).contains(&lifetime), "{json}");
    assert!(number("exp").is_none_or(|exp| exp + 2.0 >= now as f64 + lifetime), "{json} {claims}");
    assert!(number("iat").is_none_or(|iat| (iat - now as f64).abs() <= 86_402.0), "{json} {claims}");
    assert!(claims["iss"].as_str().is_none_or(|issuer| issuer.starts_with(ISSUER)), "{claims}");
    let audience = claims["aud"].to_string();
    assert!(audience == "null" || audience.contains(OIDC), "{claims}");
    let token = json["access_token"].as_str().and_then(|token| emulator.state.identities.live_token(token));
    let principal = token.map(|token| token.principal.to_string()).unwrap_or_default();
    let subject = principal.strip_prefix(&format!("principal://iam.googleapis.com/{POOL}/subject/"));
    assert!(
        lifetime == 0.0 || subject.is_some_and(|subject| (1..=127).contains(&subject.len())),
        "{principal}"
    );
}

/// What nobody signed is never exchanged, whatever its form. A refusal is an OAuth error and doesn't show the
/// subject token.
///
/// The input is the type of the subject token, the options, and the subject token.
pub fn token_exchanges(data: &[u8]) {
    let Some([kind, options, token]) = text_lines(data) else { return };
    EMULATOR.with(|emulator| {
        let policy = Policy::new()
            .identity_provider(OIDC, IdentityProvider::oidc(ISSUER))
            .identity_provider(AWS, IdentityProvider::aws("123456789012"));
        emulator.state.identities.set_policy(Some(policy));
        for provider in [OIDC, AWS] {
            let reply = exchange(emulator, provider, kind, options, token);
            reply.assert_is_an_oauth_error();
            assert!(token.len() < 40 || !reply.text.contains(token), "{}", reply.text);
        }
    });
}

impl Reply {
    fn assert_is_an_oauth_error(&self) {
        assert_eq!(self.status, 400, "{}", self.text);
        let json = self.json();
        let known =
            ["invalid_request", "invalid_grant", "invalid_scope", "invalid_target", "unauthorized_client"];
        assert!(known.iter().any(|error| json["error"] == *error), "{json}");
        assert_is_plain(json["error_description"].as_str().unwrap_or_default());
    }
}

fn exchange(emulator: &InMemory, provider: &str, kind: &str, options: &str, token: &str) -> Reply {
    emulator.state.journal.clear();
    emulator.post(
        "/v1/token",
        &json!({
            "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
            "audience": format!("//iam.googleapis.com/{provider}"),
            "scope": CLOUD_PLATFORM,
            "subjectTokenType": kind,
            "subjectToken": token,
            "options": options,
        }),
    )
}
