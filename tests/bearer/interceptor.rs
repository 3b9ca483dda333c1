//! The interceptor: on requests in memory with a paused clock, and in a tonic client on a socket.

use std::time::{Duration, SystemTime};

use gcp_iam_credentials::bearer::TokenError;
use gcp_iam_credentials::source::SourceInfo;
use gcp_iam_credentials::{BearerInterceptor, Credentials, Error, Token};
use http::{HeaderMap, HeaderName};
use tokio::time::advance;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::{Code, Request, Status};
use tonic_health::pb::health_client::HealthClient;

use crate::health_server::{HealthServer, whole_server};
use crate::support::runtime::{ms, one_thread, until};
use crate::support::token_source::{Outcome, ScriptedSource};

const LIFE: Duration = Duration::from_secs(3600);

/// Returns a source of tokens that live for an hour and belong to a quota project.
fn source() -> ScriptedSource {
    let info = SourceInfo::new().with_quota_project("of-the-credentials");
    ScriptedSource::numbered().with_lifetime(LIFE).with_info(info)
}

/// Returns the headers of a request after the interceptor.
fn intercept(interceptor: &mut BearerInterceptor) -> Result<HeaderMap, Status> {
    Ok(interceptor.call(Request::new(()))?.into_parts().0.into_headers())
}

fn authorization(headers: &HeaderMap) -> Vec<&str> {
    headers.get_all("authorization").iter().map(|value| value.to_str().unwrap()).collect()
}

/// Lets a refresh in progress finish.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// conf: G1, G84, P32
#[tokio::test]
async fn a_request_carries_the_token_and_the_project() {
    let source = source();
    let mut interceptor = source.credentials().interceptor().await.unwrap();
    assert_eq!(source.fetches(), 1, "the first token is fetched before the first request");
    for _ in 0..3 {
        let headers = intercept(&mut interceptor).unwrap();
        assert_eq!(authorization(&headers), ["Bearer token-1"]);
        assert!(headers["authorization"].is_sensitive());
        assert_eq!(headers["x-goog-user-project"], "of-the-credentials");
    }
    assert_eq!(source.fetches(), 1);
    let headers = intercept(&mut interceptor.clone().quota_project("mine").unwrap()).unwrap();
    assert_eq!(headers["x-goog-user-project"], "mine");
    let mut elsewhere = interceptor.header_name(HeaderName::from_static("x-serverless-authorization"));
    let headers = intercept(&mut elsewhere).unwrap();
    assert_eq!(headers["x-serverless-authorization"], "Bearer token-1");
    assert!(!headers.contains_key("authorization"));
}

/// conf: M23, R12
#[tokio::test]
async fn values_that_the_caller_set_are_replaced() {
    let mut interceptor = source().credentials().interceptor().await.unwrap();
    let mut request = Request::new(());
    request.metadata_mut().append("authorization", MetadataValue::from_static("Bearer theirs"));
    request.metadata_mut().append("authorization", MetadataValue::from_static("Basic more"));
    let headers = interceptor.call(request).unwrap().into_parts().0.into_headers();
    assert_eq!(authorization(&headers), ["Bearer token-1"]);
}

#[tokio::test]
async fn making_an_interceptor_fails_without_a_first_token() {
    let source = source();
    source.set(Outcome::Fail(Error::permanent("no grant")));
    let error = source.credentials().interceptor().await.unwrap_err();
    assert_eq!(error.to_string(), "no grant");
}

#[tokio::test(start_paused = true)]
async fn a_stale_token_is_used_while_the_next_one_is_fetched() {
    let source = source();
    let mut interceptor = source.credentials().interceptor().await.unwrap();
    advance(LIFE - Duration::from_secs(60)).await;
    let headers = intercept(&mut interceptor).unwrap();
    assert_eq!(authorization(&headers), ["Bearer token-1"], "the token is valid for another minute");
    settle().await;
    let headers = intercept(&mut interceptor).unwrap();
    assert_eq!(authorization(&headers), ["Bearer token-2"]);
    assert_eq!((source.fetches(), interceptor.last_error().is_none()), (2, true));
}

#[tokio::test(start_paused = true)]
async fn with_an_expired_token_a_request_fails_at_once_and_starts_a_refresh() {
    let source = source();
    let mut interceptor = source.credentials().interceptor().await.unwrap();
    advance(LIFE + Duration::from_secs(1)).await;
    let status = intercept(&mut interceptor).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(interceptor.last_error().unwrap().is_transient());
    settle().await;
    let headers = intercept(&mut interceptor).unwrap();
    assert_eq!(authorization(&headers), ["Bearer token-2"]);
    assert_eq!(source.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn requests_during_a_hanging_refresh_start_no_other_refresh() {
    let source = source();
    let mut interceptor = source.credentials().interceptor().await.unwrap();
    source.set(Outcome::Hang);
    advance(LIFE + Duration::from_secs(1)).await;
    for _ in 0..100 {
        assert_eq!(intercept(&mut interceptor).unwrap_err().code(), Code::Unavailable);
        settle().await;
    }
    assert_eq!(source.fetches(), 2);
}

/// conf: A2
#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_sent_until_another_one_is_cached() {
    let source = source();
    let credentials = source.credentials();
    let mut interceptor = credentials.interceptor().await.unwrap();
    source.set(Outcome::Hang);
    credentials.invalidate(&credentials.cached().unwrap());
    for _ in 0..5 {
        let headers = intercept(&mut interceptor).unwrap();
        assert_eq!(authorization(&headers), ["Bearer token-1"]);
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(source.fetches(), 2);
}

/// conf: M32
#[tokio::test(start_paused = true)]
async fn the_status_of_a_failed_refresh_discloses_nothing_and_last_error_has_the_cause() {
    let source = source();
    let mut interceptor = source.credentials().interceptor().await.unwrap();
    let denied = "PERMISSION_DENIED on robot@example.iam.gserviceaccount.com";
    source.set(Outcome::Fail(Error::permanent(denied)));
    advance(LIFE + Duration::from_secs(1)).await;
    intercept(&mut interceptor).unwrap_err();
    settle().await;

    let status = intercept(&mut interceptor).unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "IAM's code would be taken for the API's");
    for shown in [status.to_string(), format!("{status:?}")] {
        assert!(!shown.contains("robot") && !shown.contains("DENIED"), "{shown}");
    }
    assert_eq!(interceptor.last_error().unwrap().to_string(), denied);
    assert_eq!(interceptor.clone().last_error().unwrap().to_string(), denied, "clones share the last error");
    assert_eq!(source.fetches(), 2, "the failure is replayed");
}

/// conf: M18
#[tokio::test]
async fn debug_shows_no_token() {
    let token = Token::new("hidden", None).unwrap();
    let mut interceptor = Credentials::fixed(token).interceptor().await.unwrap();
    let request = interceptor.call(Request::new(())).unwrap();
    for shown in [format!("{interceptor:?}"), format!("{request:?}")] {
        assert!(!shown.contains("hidden"), "{shown}");
    }
}

#[test]
fn outside_a_runtime_the_cached_token_is_used() {
    let runtime = one_thread();
    let source = source();
    let mut interceptor = runtime.block_on(async { source.credentials().interceptor().await.unwrap() });
    assert_eq!(authorization(&intercept(&mut interceptor).unwrap()), ["Bearer token-1"]);
}

#[tokio::test]
async fn a_quota_project_that_cannot_be_sent_is_refused() {
    let interceptor = source().credentials().interceptor().await.unwrap();
    for project in ["", "a b", "line\nbreak"] {
        let error = interceptor.clone().quota_project(project).unwrap_err();
        assert_eq!(error.field(), Some("quota_project"), "{project:?}");
    }
}

/// tonic drops the source of an interceptor's status. `last_error` returns it.
///
/// conf: M32
#[tokio::test]
async fn a_tonic_client_sends_the_token_and_its_failures_are_explained_by_last_error() {
    let server = HealthServer::start().await;
    let channel = server.endpoint().connect_lazy();
    let credentials = source().credentials();
    let interceptor = credentials.interceptor().await.unwrap();
    let mut client = HealthClient::with_interceptor(channel.clone(), interceptor);
    let mut request = Request::new(whole_server());
    request.metadata_mut().insert("authorization", MetadataValue::from_static("Bearer theirs"));
    client.check(request).await.unwrap();
    assert_eq!(server.authorizations(), ["Bearer token-1"]);

    let source = ScriptedSource::numbered().with_lifetime(ms(200));
    let credentials = source.credentials();
    let broken = credentials.interceptor().await.unwrap();
    source.set(Outcome::Fail(Error::permanent("no grant")));
    until("the expiry of the token", || {
        credentials.expires_at().is_none_or(|expiry| expiry <= SystemTime::now())
    })
    .await;
    let mut client = HealthClient::with_interceptor(channel, broken.clone());
    let status = client.check(whole_server()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "the fetch is still in progress");
    settle().await;
    let status = client.check(whole_server()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(
        TokenError::find_in(&status).is_none(),
        "tonic keeps the source of a status now: update the documentation"
    );
    assert_eq!(broken.last_error().unwrap().to_string(), "no grant");
    assert_eq!(server.authorizations().len(), 1, "a request was sent without a token");
}
