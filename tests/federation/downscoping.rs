//! Access tokens that are limited by an access boundary.

use std::time::{Duration, SystemTime};

use gcp_iam_credentials::downscope::{AccessBoundary, AccessRule};
use gcp_iam_credentials::emulator::{Emulator, ExternalAccountFile, Fault, Method};
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{Code, Credentials, Error, IamCredentialsClient, Token};
use serde_json::json;

use crate::support::accounts::TARGET;
use crate::support::emulator::text;
use crate::support::federation::{DEPLOYER, file, start};
use crate::support::token_server::{Answer, TokenServer};
use crate::support::token_source::{Outcome, ScriptedSource};

fn boundary() -> AccessBoundary {
    AccessBoundary::new().rule(AccessRule::bucket("files").role("roles/storage.objectViewer").folder("it's"))
}

fn downscope(source: &Credentials, token_url: String) -> Result<Credentials, Error> {
    Credentials::builder().token_url(token_url).downscope(source, boundary())
}

fn at(emulator: &Emulator, source: &Credentials) -> Credentials {
    downscope(source, format!("{}/v1/token", emulator.endpoint())).unwrap()
}

fn key(emulator: &Emulator) -> Credentials {
    Credentials::from_service_account_json(&emulator.service_account_key_json(DEPLOYER)).unwrap()
}

/// Returns how many tokens were downscoped.
fn exchanges(emulator: &Emulator) -> usize {
    emulator.journal().entries().iter().filter(|entry| entry.fields().options().is_some()).count()
}

fn in_seconds(seconds: u64) -> SystemTime {
    SystemTime::now() + Duration::from_secs(seconds)
}

/// conf: F13
#[tokio::test]
async fn tokens_of_every_kind_of_source_can_be_downscoped_and_end_with_the_source() {
    let emulator = start().await;
    let key = key(&emulator);
    let client = IamCredentialsClient::builder().credentials(key.clone()).endpoint(emulator.endpoint());
    let acting = client.build().unwrap().impersonate(TARGET).lifetime(Duration::from_secs(600));
    let federated = file(&emulator, &ExternalAccountFile::new(), &json!({}));
    for (kind, source) in [
        ("key", key.clone()),
        ("user", Credentials::from_json(&emulator.authorized_user_json("ada@example.com")).unwrap()),
        ("impersonated", acting.access_token([CLOUD_PLATFORM]).unwrap()),
        ("federated", Credentials::from_json(&federated).unwrap()),
        ("fixed", Credentials::fixed(key.token().await.unwrap())),
    ] {
        let narrow = at(&emulator, &source);
        let token = narrow.token().await.unwrap_or_else(|error| panic!("{kind}: {error}"));
        let verified = emulator.verify_access_token(token.secret()).unwrap();
        let of_source = emulator.verify_access_token(source.token().await.unwrap().secret()).unwrap();
        assert_eq!(verified.principal(), of_source.principal(), "{kind}");
        let limits = verified.access_boundary().unwrap();
        assert!(limits.contains(r"startsWith('projects/_/buckets/files/objects/it\\'s/')"), "{limits}");
        assert_eq!(token.expires_at(), source.expires_at(), "{kind}: the reply has no expiry");
    }
}

/// conf: F13
#[tokio::test]
async fn downscoped_tokens_are_cached_and_their_exchange_is_retried() {
    let emulator = start().await;
    let source = key(&emulator);
    source.token().await.unwrap();
    let narrow = at(&emulator, &source);
    emulator.faults().inject(Fault::status(Code::Unavailable).method(Method::Token).times(2));
    let token = narrow.token().await.unwrap();
    assert_eq!(narrow.token().await.unwrap().secret(), token.secret());
    let before = exchanges(&emulator);
    narrow.refresh().await.unwrap();
    assert_eq!(exchanges(&emulator), before + 1);
}

/// conf: F13
#[tokio::test]
async fn a_source_token_that_was_revoked_is_replaced() {
    let emulator = start().await;
    let source = key(&emulator);
    let narrow = at(&emulator, &source);
    let revoke = async |token: &Token| {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let url = format!("{}/revoke", emulator.endpoint());
        assert_eq!(text("POST", &url, &form, format!("token={}", token.secret())).await.0, 200);
    };
    narrow.token().await.unwrap();
    revoke(&source.token().await.unwrap()).await;
    let token = narrow.refresh().await.unwrap();
    assert!(emulator.verify_access_token(token.secret()).is_some());

    // A source that has no other token makes the refusal visible.
    let fixed = Credentials::fixed(source.token().await.unwrap());
    let narrow = at(&emulator, &fixed);
    revoke(&fixed.token().await.unwrap()).await;
    let error = narrow.token().await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("invalid_grant"), "{error}");
}

/// conf: F13
#[tokio::test]
async fn a_rejected_token_is_replaced_by_one_of_another_source_token() {
    let server = TokenServer::start([Answer::Token(3600)]).await;
    let source = ScriptedSource::tokens(["first", "second"]);
    let narrow = downscope(&source.credentials(), server.url()).unwrap();
    let token = narrow.token().await.unwrap();
    narrow.refresh().await.unwrap();
    assert_eq!(source.fetches(), 1, "nothing was rejected");

    let token = match narrow.cached() {
        Some(latest) => latest,
        None => token,
    };
    narrow.invalidate(&token);
    narrow.token().await.unwrap();
    let subjects: Vec<String> = server
        .forms()
        .iter()
        .map(|form| form.split('&').find(|field| field.starts_with("subject_token=")).unwrap().to_owned())
        .collect();
    assert_eq!(subjects, ["subject_token=first", "subject_token=first", "subject_token=second"]);
}

/// conf: F13
#[tokio::test]
async fn a_rejected_token_is_replaced_even_if_the_source_has_no_other() {
    let server = TokenServer::start([Answer::Token(3600)]).await;
    let source = Credentials::fixed(Token::new("only", None).unwrap());
    let narrow = downscope(&source, server.url()).unwrap();
    let rejected = narrow.token().await.unwrap();
    narrow.invalidate(&rejected);
    assert_ne!(narrow.token().await.unwrap().secret(), rejected.secret());
}

/// conf: F13
#[tokio::test]
async fn a_downscoped_token_never_outlives_its_source() {
    let bare = |lifetime: &str| Answer::body(200, &format!(r#"{{"access_token":"t"{lifetime}}}"#));
    for (answer, of_source, expected) in [
        (bare(""), Some(in_seconds(600)), Some(600)),
        (bare(""), None, None),
        (bare(r#","expires_in":60"#), Some(in_seconds(600)), Some(60)),
        (bare(r#","expires_in":"60""#), None, Some(60)),
        (bare(r#","expires_in":3600"#), Some(in_seconds(600)), Some(600)),
    ] {
        let server = TokenServer::start([answer]).await;
        let source = Credentials::fixed(Token::new("source", of_source).unwrap());
        let token = downscope(&source, server.url()).unwrap().token().await.unwrap();
        let left = token.expires_at().map(|at| at.duration_since(SystemTime::now()).unwrap().as_secs());
        assert!(
            left.zip(expected).is_none_or(|(left, most)| left <= most && left + 60 > most)
                && left.is_some() == expected.is_some(),
            "{left:?} {expected:?}"
        );
        let form = &server.forms()[0];
        assert!(!form.contains("audience=") && !form.contains("scope="), "{form}");
        assert!(!server.heads()[0].contains_key("authorization"));
    }
}

/// conf: F13
#[tokio::test]
async fn a_jwt_is_not_sent_and_a_failed_source_keeps_its_transience() {
    let server = TokenServer::start([Answer::Token(3600)]).await;
    let jwt = ScriptedSource::tokens(["eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJoaWRkZW4ifQ.c2ln"]);
    let error = downscope(&jwt.credentials(), server.url()).unwrap().token().await.unwrap_err();
    assert!(!error.is_transient() && error.hint().is_some(), "{error}");
    for (failure, transient) in [(Error::transient("away"), true), (Error::permanent("no"), false)] {
        let source = ScriptedSource::new([Outcome::Fail(failure)]).credentials();
        let error = downscope(&source, server.url()).unwrap().token().await.unwrap_err();
        assert_eq!(error.is_transient(), transient, "{error}");
    }
    assert_eq!(server.requests(), 0);
}
