//! Credentials for the official clients, and official credentials as sources.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gcp_iam_credentials::source::{SourceInfo, TokenKind};
use gcp_iam_credentials::{Credentials, Error, ErrorKind, IamCredentialsClient, Token};
use google_cloud_auth::credentials as official;
use google_cloud_auth::credentials::idtoken::{IDTokenCredentials, IDTokenCredentialsProvider};
use google_cloud_auth::credentials::{
    AccessTokenCredentials, CacheableResource, CredentialsProvider, EntityTag, anonymous, api_key_credentials,
};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap, HeaderValue};
use tokio::time::advance;

use crate::support::emulator;
use crate::support::scripted_service::fixed;
use crate::support::token_source::{Outcome, ScriptedSource};

const TARGET: &str = "sa@target-project.iam.gserviceaccount.com";

/// Official credentials with scripted headers. They count how often they are asked.
#[derive(Clone, Debug, Default)]
struct Scripted {
    asked: Arc<AtomicUsize>,
    headers: HeaderMap,
    universe: Option<String>,
    failure: Option<bool>,
}

impl Scripted {
    fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(name, HeaderValue::from_static(value));
        self
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl CredentialsProvider for Scripted {
    async fn headers(&self, _: Extensions) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.failure {
            Some(is_transient) => {
                Err(CredentialsError::from_msg(is_transient, "status 500, body=<a-secret-of-the-server>"))
            }
            None => Ok(CacheableResource::New { entity_tag: EntityTag::new(), data: self.headers.clone() }),
        }
    }

    async fn universe_domain(&self) -> Option<String> {
        self.universe.clone()
    }
}

fn bearer() -> Scripted {
    Scripted::default().with_header("authorization", "Bearer official-token")
}

async fn headers_of(
    official: &official::Credentials,
    tag: Option<EntityTag>,
) -> CacheableResource<HeaderMap> {
    let mut extensions = Extensions::new();
    if let Some(tag) = tag {
        extensions.insert(tag);
    }
    official.headers(extensions).await.unwrap()
}

fn new_headers(resource: CacheableResource<HeaderMap>) -> (EntityTag, HeaderMap) {
    match resource {
        CacheableResource::New { entity_tag, data } => (entity_tag, data),
        CacheableResource::NotModified => panic!("the headers are new"),
    }
}

/// Returns this crate's error in an official one.
fn cause(error: &CredentialsError) -> &Error {
    error.source().and_then(|cause| cause.downcast_ref()).expect("the cause is an error of this crate")
}

/// conf: K6
#[tokio::test]
async fn official_clients_get_the_token_and_the_quota_project() {
    let info = SourceInfo::new().with_quota_project("billing").with_universe_domain("example.goog");
    let official = official::Credentials::from(ScriptedSource::numbered().with_info(info).credentials());
    let (_, headers) = new_headers(headers_of(&official, None).await);
    assert_eq!(headers["authorization"], "Bearer token-1");
    assert!(headers["authorization"].is_sensitive());
    assert_eq!(headers["x-goog-user-project"], "billing");
    assert_eq!(headers.len(), 2);
    assert_eq!(official.universe_domain().await.as_deref(), Some("example.goog"));
}

/// conf: K6
#[tokio::test]
async fn a_tag_is_known_as_long_as_the_token_is_the_same() {
    let acting = ScriptedSource::numbered().credentials();
    let official = official::Credentials::from(acting.clone());
    let (tag, _) = new_headers(headers_of(&official, None).await);
    assert!(matches!(headers_of(&official, Some(tag.clone())).await, CacheableResource::NotModified));
    let (again, _) = new_headers(headers_of(&official, None).await);
    assert_eq!(again, tag);

    acting.refresh().await.unwrap();
    let (other, headers) = new_headers(headers_of(&official, Some(tag.clone())).await);
    assert_eq!(headers["authorization"], "Bearer token-2");
    assert_ne!(other, tag);
}

/// conf: K5
#[tokio::test]
async fn an_official_client_learns_whether_a_failure_may_pass() {
    for expected in [Error::transient("away"), Error::permanent("gone")] {
        let acting = ScriptedSource::new([Outcome::Fail(expected.clone())]).credentials();
        let error = official::Credentials::from(acting).headers(Extensions::new()).await.unwrap_err();
        assert_eq!(error.is_transient(), expected.is_transient());
        assert_eq!(cause(&error).kind(), expected.kind());
    }
}

/// conf: K3, K9
#[tokio::test]
async fn no_kind_of_token_takes_the_place_of_another() {
    let client = IamCredentialsClient::builder().credentials(fixed()).endpoint("http://127.0.0.1:1");
    let acting = client.build().unwrap().impersonate(TARGET);
    let id_token = acting.id_token("https://app").unwrap();
    let jwt = acting.self_signed_jwt("https://pubsub.googleapis.com/").unwrap();
    let unknown = Credentials::fixed(Token::new("secret", None).unwrap());

    let error = official::Credentials::from(id_token.clone()).headers(Extensions::new()).await.unwrap_err();
    assert!(cause(&error).to_string().contains("got ID tokens"), "{error:?}");
    for (wrong, got) in [(id_token, "got ID tokens"), (jwt.clone(), "got self-signed JWTs")] {
        let error = AccessTokenCredentials::from(wrong).access_token().await.unwrap_err();
        assert!(cause(&error).to_string().contains(got), "{error:?}");
        assert!(!error.is_transient());
    }
    for (wrong, got) in [(jwt, "got self-signed JWTs"), (unknown.clone(), "of an unknown kind")] {
        let error = IDTokenCredentials::from(wrong).id_token().await.unwrap_err();
        assert!(cause(&error).to_string().contains(got), "{error:?}");
    }
    assert_eq!(AccessTokenCredentials::from(unknown).access_token().await.unwrap().token, "secret");
}

/// conf: K9
#[tokio::test]
async fn id_tokens_of_the_target_get_to_an_official_client() {
    let emulator = emulator::start().await;
    let acting = emulator::client_of(&emulator).impersonate(emulator::EMAIL).id_token("https://app").unwrap();
    let official = IDTokenCredentials::from(acting.clone());
    let token = official.id_token().await.unwrap();
    assert_eq!(token, acting.token().await.unwrap().secret());
}

/// conf: K7
#[tokio::test(start_paused = true)]
async fn official_credentials_are_asked_again_each_minute() {
    let scripted = bearer();
    let source = Credentials::from_google_cloud_auth(scripted.clone());
    for minute in 1..=30 {
        assert_eq!(source.token().await.unwrap().secret(), "official-token");
        tokio::task::yield_now().await;
        advance(Duration::from_secs(60)).await;
        assert!(scripted.asked() <= 2 * minute, "{} times in {minute} minutes", scripted.asked());
    }
    assert!(scripted.asked() >= 30, "{}", scripted.asked());
}

/// conf: K7
#[tokio::test]
async fn what_has_no_bearer_token_is_refused_with_the_reason() {
    let api_key = api_key_credentials::Builder::new("a-secret-key").build();
    let anonymous = anonymous::Builder::new().build();
    let twice = bearer().with_header("authorization", "Bearer another");
    let basic = Scripted::default().with_header("authorization", "Basic dTpw");
    for official in [api_key, anonymous, twice.into(), basic.into()] {
        let error = Credentials::from_google_cloud_auth(official).token().await.unwrap_err();
        assert_eq!((error.kind(), error.field()), (ErrorKind::InvalidInput, Some("credentials")), "{error}");
        assert!(!format!("{error:?} {error}").contains("a-secret-key"));
    }
}

/// conf: K8
#[tokio::test]
async fn a_universe_or_a_quota_project_that_would_be_lost_is_an_error() {
    let elsewhere = Scripted { universe: Some("example.goog".to_owned()), ..bearer() };
    let billed = bearer().with_header("x-goog-user-project", "billing");
    for (official, field) in [(elsewhere.clone(), "universe_domain"), (billed.clone(), "quota_project")] {
        let error = Credentials::from_google_cloud_auth(official).token().await.unwrap_err();
        assert_eq!(error.field(), Some(field));
        assert!(error.to_string().contains("fix: set `"), "{error}");
    }
    let told = Credentials::builder().universe_domain("example.goog").google_cloud_auth(elsewhere).unwrap();
    assert_eq!(told.token().await.unwrap().secret(), "official-token");
    assert_eq!(told.info().universe_domain(), Some("example.goog"));
    let told = Credentials::builder().quota_project("billing").google_cloud_auth(billed).unwrap();
    assert_eq!(told.token().await.unwrap().secret(), "official-token");
    assert_eq!(told.info().quota_project(), Some("billing"));

    let error = Credentials::builder().scopes(["email"]).google_cloud_auth(bearer()).unwrap_err();
    assert_eq!(error.field(), Some("scopes"));
}

/// conf: K5
#[tokio::test]
async fn a_failure_of_official_credentials_may_pass_or_not_and_shows_no_reply() {
    for is_transient in [true, false] {
        let official = Scripted { failure: Some(is_transient), ..Scripted::default() };
        let error = Credentials::from_google_cloud_auth(official).token().await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Credentials, is_transient));
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("status 500") && !shown.contains("a-secret"), "{shown}");
    }
}

#[derive(Debug)]
struct IdTokens(String);

impl IDTokenCredentialsProvider for IdTokens {
    async fn id_token(&self) -> Result<String, CredentialsError> {
        Ok(self.0.clone())
    }
}

/// conf: K9
#[tokio::test]
async fn official_id_tokens_live_as_long_as_they_say() {
    let expiry = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    let part = |json: String| BASE64_URL_SAFE_NO_PAD.encode(json);
    let jwt = format!("{}.{}.c2ln", part("{}".to_owned()), part(format!(r#"{{"exp":{expiry}}}"#)));
    let official = IDTokenCredentials::from(IdTokens(jwt.clone()));
    let source = Credentials::from_google_cloud_auth_id_token(official);
    assert_eq!(source.token().await.unwrap().secret(), jwt);
    assert_eq!(source.expires_at(), Some(UNIX_EPOCH + Duration::from_secs(expiry)));
    assert_eq!(source.info().token_kind(), Some(TokenKind::IdToken));

    let opaque = IDTokenCredentials::from(IdTokens("opaque".to_owned()));
    let error = Credentials::from_google_cloud_auth_id_token(opaque).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidReply);
}

/// conf: K10
#[tokio::test]
async fn an_official_client_signs_as_the_target() {
    let emulator = emulator::start().await;
    let signer = emulator::client_of(&emulator).impersonate(emulator::EMAIL).signer().unwrap();
    let official = google_cloud_auth::signer::Signer::from(signer.clone());
    assert_eq!(official.client_email().await.unwrap(), emulator::EMAIL);
    let signature = official.sign("bytes").await.unwrap();
    assert_eq!(signature, signer.sign_blob("bytes").await.unwrap().signature());

    let unreachable = IamCredentialsClient::builder().credentials(fixed()).endpoint("http://127.0.0.1:1");
    let client = unreachable.retry(gcp_iam_credentials::RetryPolicy::none()).build().unwrap();
    let signer = client.impersonate(TARGET).signer().unwrap();
    let error = google_cloud_auth::signer::Signer::from(signer).sign("bytes").await.unwrap_err();
    assert!(error.is_sign());
    assert!(error.to_string().contains(TARGET), "{error}");
}
