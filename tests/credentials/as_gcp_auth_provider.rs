//! Credentials as a provider of gcp_auth.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gcp_auth::TokenProvider;
use gcp_iam_credentials::source::{Hop, SourceInfo, TokenKind};
use gcp_iam_credentials::{Credentials, Error, ErrorKind, IamCredentialsClient, scopes};
use proptest::prelude::*;

use crate::support::scripted_service::fixed;
use crate::support::token_source::{Outcome, ScriptedSource};

const TARGET: &str = "sa@target-project.iam.gserviceaccount.com";

/// Returns credentials that report `info`, as what takes a provider sees them.
fn provider(info: SourceInfo) -> Arc<dyn TokenProvider> {
    let source = ScriptedSource::numbered().with_lifetime(Duration::from_secs(3600)).with_info(info);
    Arc::new(source.credentials())
}

fn with_scopes(scopes: &[&str]) -> SourceInfo {
    SourceInfo::new().with_hop(Hop::new(TARGET).with_scopes(scopes).with_token_kind(TokenKind::AccessToken))
}

/// Returns this crate's error in one of gcp_auth.
fn cause(error: &gcp_auth::Error) -> &Error {
    error.source().and_then(|cause| cause.downcast_ref()).expect("the cause is an error of this crate")
}

/// conf: K1
#[tokio::test]
async fn a_provider_returns_the_cached_token_and_its_expiry() {
    let provider = provider(with_scopes(&[scopes::CLOUD_PLATFORM]));
    for scope in [scopes::CLOUD_PLATFORM, scopes::PUBSUB] {
        let token = provider.token(&[scope]).await.unwrap();
        assert_eq!(token.as_str(), "token-1");
        let left = SystemTime::from(token.expires_at()).duration_since(SystemTime::now()).unwrap();
        assert!(left <= Duration::from_secs(3600) && left > Duration::from_secs(3500), "{left:?}");
        assert!(!token.has_expired());
    }
}

/// conf: K1
#[tokio::test]
async fn a_token_without_expiry_is_asked_for_again_after_a_minute() {
    let provider: Arc<dyn TokenProvider> = Arc::new(ScriptedSource::numbered().credentials());
    let token = provider.token(&[]).await.unwrap();
    let left = SystemTime::from(token.expires_at()).duration_since(SystemTime::now()).unwrap();
    assert!(left <= Duration::from_secs(60), "{left:?}");
    assert!(!token.has_expired());
}

/// conf: K2
#[tokio::test]
async fn a_scope_that_the_credentials_cannot_give_is_an_error_that_names_it() {
    let provider = provider(with_scopes(&[scopes::STORAGE_READ_ONLY, scopes::PUBSUB]));
    let error = provider.token(&[scopes::PUBSUB, scopes::STORAGE_READ_WRITE]).await.unwrap_err();
    let cause = cause(&error);
    assert_eq!((cause.kind(), cause.field()), (ErrorKind::InvalidInput, Some("scopes")));
    let text = cause.to_string();
    assert!(text.contains(&format!("got [{:?}]", scopes::STORAGE_READ_WRITE)), "{text}");
    assert!(text.contains("fix: make the credentials with these scopes"), "{text}");
}

/// conf: K2
#[tokio::test]
async fn credentials_whose_scopes_are_decided_elsewhere_give_a_token_for_any() {
    let provider = provider(SourceInfo::new().with_token_kind(TokenKind::AccessToken));
    assert_eq!(provider.token(&[scopes::BIGQUERY]).await.unwrap().as_str(), "token-1");
}

/// conf: K3
#[tokio::test]
async fn an_id_token_or_a_self_signed_jwt_is_never_returned() {
    let client = IamCredentialsClient::builder().credentials(fixed()).endpoint("http://127.0.0.1:1");
    let client = client.build().unwrap();
    let acting = client.impersonate(TARGET);
    for (credentials, kind) in [
        (acting.id_token("https://app").unwrap(), "ID tokens"),
        (acting.self_signed_jwt("https://pubsub.googleapis.com/").unwrap(), "self-signed JWTs"),
    ] {
        let error = TokenProvider::token(&credentials, &[]).await.unwrap_err();
        let text = cause(&error).to_string();
        assert!(text.contains(kind) && text.contains("fix: make them with"), "{text}");
        assert_eq!(cause(&error).field(), Some("credentials"));
    }
}

/// conf: K4
#[tokio::test]
async fn the_project_is_the_quota_project_or_that_of_the_account() {
    let project = |info: SourceInfo| async { provider(info).project_id().await };
    assert_eq!(&*project(with_scopes(&[])).await.unwrap(), "target-project");
    let billed = with_scopes(&[]).with_quota_project("billing");
    assert_eq!(&*project(billed).await.unwrap(), "billing");
    for (principal, expected) in [
        ("sa@p.example.com.iam.gserviceaccount.com", Some("example.com:p")),
        ("p@appspot.gserviceaccount.com", Some("p")),
        ("12345-compute@developer.gserviceaccount.com", None),
        ("me@example.com", None),
        ("1234567890", None),
    ] {
        let found = project(SourceInfo::new().with_principal(principal)).await;
        match expected {
            Some(expected) => assert_eq!(&*found.unwrap(), expected, "{principal}"),
            None => {
                let text = cause(&found.unwrap_err()).to_string();
                assert!(text.contains("fix: set a quota project"), "{text}");
            }
        }
    }
}

/// conf: K5
#[tokio::test]
async fn a_failure_keeps_its_kind_and_whether_it_may_pass() {
    for expected in [Error::transient("away"), Error::permanent("gone")] {
        let source = ScriptedSource::new([Outcome::Fail(expected.clone())]);
        let credentials: Credentials = source.credentials();
        let error = TokenProvider::token(&credentials, &[]).await.unwrap_err();
        let cause = cause(&error);
        assert_eq!((cause.kind(), cause.is_transient()), (expected.kind(), expected.is_transient()));
    }
}

fn some_scopes() -> impl Strategy<Value = Vec<&'static str>> {
    let known = [
        scopes::CLOUD_PLATFORM,
        scopes::CLOUD_PLATFORM_READ_ONLY,
        scopes::IAM,
        scopes::PUBSUB,
        scopes::STORAGE_READ_ONLY,
        scopes::STORAGE_READ_WRITE,
        scopes::USERINFO_EMAIL,
        "https://www.googleapis.com/auth/drive",
        "openid",
    ];
    prop::collection::vec(prop::sample::select(known.to_vec()), 1..5)
}

proptest! {
    /// Whoever asks for less is given it too, and whoever is refused is refused with more, too.
    ///
    /// conf: K2
    #[test]
    fn asking_for_more_never_helps(granted in some_scopes(), asked in some_scopes(), more in some_scopes()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let provider = provider(with_scopes(&granted));
            let all: Vec<&str> = asked.iter().chain(&more).copied().collect();
            let (some, all) = (provider.token(&asked).await.is_ok(), provider.token(&all).await.is_ok());
            prop_assert!(some || !all);
            prop_assert!(provider.token(&granted).await.is_ok());
            Ok(())
        })?;
    }
}
