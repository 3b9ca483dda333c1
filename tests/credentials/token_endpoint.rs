//! A user's login as a source: requests to the token endpoint, and its replies.

use std::time::Duration;

use gcp_iam_credentials::{Credentials, ErrorKind, scopes};

use crate::support::accounts::USER;
use crate::support::token_server::{Answer, TokenServer};

async fn user_of(answers: impl IntoIterator<Item = Answer>) -> (TokenServer, Credentials) {
    let server = TokenServer::start(answers).await;
    let credentials = Credentials::from_json(&server.user()).unwrap();
    (server, credentials)
}

/// conf: P7, P50
#[tokio::test]
async fn without_scopes_the_refresh_token_is_exchanged_for_all_consented_scopes() {
    let (server, credentials) = user_of([Answer::Token(3600)]).await;
    assert_eq!(credentials.token().await.unwrap().secret(), "minted-1");
    assert_eq!(credentials.token().await.unwrap().secret(), "minted-1");
    assert_eq!(
        server.forms(),
        ["grant_type=refresh_token&client_id=client-id&client_secret=client-secret-that-must-stay-secret&\
          refresh_token=1%2F%2Frefresh-token-that-must-stay-secret"]
    );
    assert_eq!(credentials.info().principal(), Some(USER));
}

/// conf: P7, P10
#[tokio::test]
async fn requested_scopes_narrow_the_consent() {
    let server = TokenServer::start([Answer::Token(3600)]).await;
    let builder = Credentials::builder().scopes([scopes::PUBSUB, scopes::USERINFO_EMAIL]);
    builder.json(&server.user()).unwrap().token().await.unwrap();
    let form = server.forms().remove(0);
    assert!(
        form.ends_with(
            "&scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fpubsub+\
             https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fuserinfo.email"
        ),
        "{form}"
    );
}

/// conf: M15, G69, G86
#[tokio::test]
async fn transient_failures_are_retried_and_the_caller_sees_success() {
    for passing in [
        Answer::status(500),
        Answer::status(502),
        Answer::status(503),
        Answer::body(400, r#"{"error":"temporarily_unavailable"}"#),
        Answer::Break,
    ] {
        let (server, credentials) = user_of([passing.clone(), passing, Answer::Token(3600)]).await;
        assert_eq!(credentials.token().await.unwrap().secret(), "minted-1");
        assert_eq!(server.requests(), 3);
    }
}

/// conf: G70, R14
#[tokio::test]
async fn after_the_retries_an_html_page_of_a_proxy_is_a_transient_error() {
    let page = Answer::body(502, "<html><body>hidden</body></html>");
    let (server, credentials) = user_of([page]).await;
    let error = credentials.token().await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("502 and a page of HTML, so a proxy"), "{error}");
    assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
    assert_eq!(server.requests(), 3);
}

/// conf: G67, P48
#[tokio::test]
async fn a_refusal_is_permanent_not_retried_and_contains_the_endpoints_description() {
    let refusal = r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#;
    let (server, credentials) = user_of([Answer::body(400, refusal)]).await;
    let error = credentials.token().await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Credentials, false));
    let text = error.to_string();
    for part in ["invalid_grant", "expired or revoked", "gcloud auth application-default login", "127.0.0.1"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(server.requests(), 1);
}

/// conf: P22, G68
#[tokio::test]
async fn a_malformed_reply_is_permanent_and_not_retried() {
    let huge = format!(r#"{{"access_token":"{}","expires_in":3600}}"#, "x".repeat(200 << 10));
    for body in ["{}", "no json", r#"{"access_token":"hidden"}"#, &huge] {
        let (server, credentials) = user_of([Answer::body(200, body)]).await;
        let error = credentials.token().await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::InvalidReply, false), "{error}");
        assert!(!credentials.is_valid());
        assert_eq!(server.requests(), 1);
    }
}

#[tokio::test]
async fn a_token_of_sixteen_kilobytes_is_accepted() {
    let secret = "x".repeat(16 << 10);
    let body = format!(r#"{{"access_token":"{secret}","expires_in":3600}}"#);
    let (_server, credentials) = user_of([Answer::body(200, &body)]).await;
    assert_eq!(credentials.token().await.unwrap().secret(), secret);
}

/// conf: M28
#[tokio::test]
async fn secrets_are_not_sent_to_a_redirect_target() {
    let elsewhere = TokenServer::start([Answer::Token(3600)]).await;
    let redirection = Answer::Http(307, vec![("location", elsewhere.url())], String::new());
    let (server, credentials) = user_of([redirection]).await;
    let error = credentials.token().await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("redirection"), "{error}");
    assert_eq!((server.requests(), elsewhere.requests()), (1, 0));
}

/// conf: G30
#[tokio::test]
async fn a_busy_endpoint_is_retried_only_after_its_retry_after() {
    let (server, credentials) = user_of([Answer::status(429)]).await;
    assert!(credentials.token().await.unwrap_err().is_transient());
    assert_eq!(server.requests(), 1);

    let busy = Answer::Http(429, vec![("retry-after", "1".to_owned())], String::new());
    let (server, credentials) = user_of([busy, Answer::Token(3600)]).await;
    let start = tokio::time::Instant::now();
    assert_eq!(credentials.token().await.unwrap().secret(), "minted-1");
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(server.requests(), 2);

    // A wait that would pass the deadline is an error at once.
    let busy = Answer::Http(503, vec![("retry-after", "86400".to_owned())], String::new());
    let (server, credentials) = user_of([busy]).await;
    assert!(credentials.token().await.unwrap_err().is_transient());
    assert_eq!(server.requests(), 1);
}

/// conf: P27, P30
#[tokio::test]
async fn an_expired_token_is_replaced() {
    let (server, credentials) = user_of([Answer::Token(1), Answer::Token(3600)]).await;
    assert_eq!(credentials.token().await.unwrap().secret(), "minted-1");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(credentials.token().await.unwrap().secret(), "minted-2");
    assert_eq!(credentials.token().await.unwrap().secret(), "minted-2");
    assert_eq!(server.requests(), 2);
}

/// conf: M19
#[tokio::test]
async fn consecutive_fetches_share_a_connection_while_it_is_open() {
    let (server, credentials) = user_of([Answer::Token(3600)]).await;
    for _ in 0..5 {
        credentials.refresh().await.unwrap();
    }
    assert_eq!((server.requests(), server.connections()), (5, 1));

    let closing = TokenServer::start_with([Answer::Token(3600)], false).await;
    let credentials = Credentials::from_json(&closing.user()).unwrap();
    for _ in 0..3 {
        credentials.refresh().await.unwrap();
    }
    assert_eq!((closing.requests(), closing.connections()), (3, 3));
}

/// conf: M10, M17
#[test]
fn credentials_outlive_the_runtime_that_first_used_them() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (server, credentials) = runtime().block_on(user_of([Answer::Token(3600)]));
    for number in 1..=3 {
        let token = runtime().block_on(credentials.refresh()).unwrap();
        assert_eq!(token.secret(), format!("minted-{number}"));
    }
    assert_eq!(server.requests(), 3);
}
