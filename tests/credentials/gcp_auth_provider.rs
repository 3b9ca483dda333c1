//! A gcp_auth provider as a source. The clock is paused; the provider is in memory.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gcp_auth::TokenProvider;
use gcp_iam_credentials::{Credentials, ErrorKind, Token};
use tokio::time::{Instant, advance};

/// Returns a new token for each call, after a number of calls that never return.
struct Provider {
    asked: AtomicUsize,
    /// This many calls never return.
    unanswered: usize,
}

impl Provider {
    fn new(unanswered: usize) -> Arc<Self> {
        Arc::new(Self { asked: AtomicUsize::new(0), unanswered })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<Arc<T>, gcp_auth::Error>> + Send + 'a>>;

impl TokenProvider for Provider {
    fn token<'a, 'b, 'c, 'd>(&'a self, scopes: &'b [&'c str]) -> Answer<'d, gcp_auth::Token>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
        Self: 'd,
    {
        assert_eq!(scopes, ["email"]);
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let unanswered = number <= self.unanswered;
        Box::pin(async move {
            if unanswered {
                std::future::pending::<()>().await;
            }
            let json = format!(r#"{{"access_token":"token-{number}","expires_in":3600}}"#);
            serde_json::from_str(&json).map(Arc::new).map_err(|error| gcp_auth::Error::Json("a token", error))
        })
    }

    fn project_id<'a, 'd>(&'a self) -> Answer<'d, str>
    where
        'a: 'd,
        Self: 'd,
    {
        Box::pin(async { Ok("project".into()) })
    }
}

async fn secret_of(credentials: &Credentials) -> String {
    let token: Token = credentials.token().await.unwrap();
    tokio::task::yield_now().await;
    token.secret().to_owned()
}

/// conf: M22
#[tokio::test(start_paused = true)]
async fn a_caching_provider_is_asked_again_twenty_seconds_before_expiry() {
    let provider = Provider::new(0);
    let credentials = Credentials::from_gcp_auth(provider.clone(), ["email"]);
    assert_eq!(secret_of(&credentials).await, "token-1");
    advance(Duration::from_secs(3600 - 22)).await;
    assert_eq!(secret_of(&credentials).await, "token-1");
    assert_eq!(provider.asked(), 1);
    advance(Duration::from_secs(3)).await;
    assert_eq!(secret_of(&credentials).await, "token-1");
    assert_eq!(secret_of(&credentials).await, "token-2");
    assert_eq!(provider.asked(), 2);
}

/// conf: M2
#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_answer_is_asked_again_within_the_fetch() {
    let provider = Provider::new(2);
    let credentials = Credentials::from_gcp_auth(provider.clone(), ["email"]);
    let start = Instant::now();
    assert_eq!(secret_of(&credentials).await, "token-3");
    assert!((40..45).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

/// conf: M2
#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_is_bounded_by_the_fetch_timeout() {
    let provider = Provider::new(usize::MAX);
    let credentials = Credentials::from_gcp_auth(provider.clone(), ["email"]);
    let start = Instant::now();
    let error = credentials.token().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!((start.elapsed().as_secs(), provider.asked()), (60, 3));
}

/// conf: A24
#[tokio::test(start_paused = true)]
async fn an_invalid_scope_is_an_error_of_each_fetch_and_the_provider_is_not_asked() {
    let provider = Provider::new(0);
    let credentials = Credentials::from_gcp_auth(provider.clone(), ["cloud-platform"]);
    let error = credentials.token().await.unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::InvalidInput, Some("scopes[0]")), "{error}");
    assert_eq!(provider.asked(), 0);
}
