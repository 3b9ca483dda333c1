//! What is retried, how often and when. The clock is paused; the service is in memory.

use std::error::Error as _;
use std::time::Duration;

use gcp_iam_credentials::{Credentials, Error, ErrorKind, RetryPolicy, Token};
use tokio::time::Instant;
use tonic::Code;
use tonic_types::ErrorDetails;

use crate::support::accounts::TARGET;
use crate::support::scripted_service::{Answer, Script, builder};
use crate::support::token_source::ScriptedSource;

const FIVE_ATTEMPTS: RetryPolicy = RetryPolicy::new().max_attempts(5);

/// conf: G17
#[tokio::test(start_paused = true)]
async fn a_call_that_succeeds_is_made_once() {
    let script = Script::default();
    script.client().sign_blob(TARGET, "bytes").await.unwrap();
    assert_eq!(script.calls(), 1);
}

/// conf: G18, P39, G67
#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_retried() {
    for code in [Code::PermissionDenied, Code::InvalidArgument, Code::NotFound, Code::Unknown, Code::DataLoss]
    {
        let script = Script::always(Answer::status(code, "no"));
        let error = script.client().sign_blob(TARGET, "bytes").await.unwrap_err();
        assert_eq!((error.code(), error.is_transient(), script.calls()), (code, false, 1));
        assert_eq!(error.attempts(), 1);
    }
}

/// conf: G19, G69, M15
#[tokio::test(start_paused = true)]
async fn transient_failures_are_retried_until_an_attempt_succeeds() {
    for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Internal] {
        let script = Script::new([Answer::status(code, "busy"), Answer::status(code, "busy")]);
        script.client().generate_access_token(TARGET, ["email"]).await.unwrap();
        assert_eq!(script.calls(), 3, "{code}");
    }
}

/// conf: G20
#[tokio::test(start_paused = true)]
async fn a_refusal_ends_the_retries() {
    let refusal = Answer::status(Code::PermissionDenied, "no");
    let script = Script::new([Answer::unavailable(), Answer::unavailable(), refusal]);
    let error = script.client().sign_blob(TARGET, "bytes").await.unwrap_err();
    assert_eq!((error.code(), error.attempts(), script.calls()), (Code::PermissionDenied, 3, 3));
}

/// conf: G21, P40, G70
#[tokio::test(start_paused = true)]
async fn retries_end_at_the_limit_with_the_last_error() {
    for (policy, attempts) in
        [(FIVE_ATTEMPTS, 5), (RetryPolicy::new().max_attempts(2), 2), (RetryPolicy::none(), 1)]
    {
        let script = Script::always(Answer::unavailable());
        let client = script.client_with(builder().retry(policy));
        let error = client.sign_blob(TARGET, "bytes").await.unwrap_err();
        assert_eq!(
            (error.code(), error.attempts(), script.calls()),
            (Code::Unavailable, attempts, attempts as usize)
        );
        assert!(error.is_transient());
        assert!(error.to_string().contains("try again later"), "{error}");
    }
}

/// conf: G34
#[tokio::test(start_paused = true)]
async fn all_calls_of_a_client_share_a_budget_of_retries_that_successes_refill() {
    const FREE_RETRIES: usize = 100;
    const CALLS: usize = 50;
    let script = Script::always(Answer::unavailable());
    // Without waits the paused clock doesn't advance, and the budget doesn't refill by itself.
    let eager = RetryPolicy::new().max_attempts(3).max_backoff(Duration::ZERO);
    let client = script.client_with(builder().retry(eager));
    for _ in 0..CALLS {
        client.sign_blob(TARGET, "bytes").await.unwrap_err();
    }
    assert_eq!(script.calls(), CALLS + FREE_RETRIES);

    // Each retry waits until the budget has one: 100 ms. After ten successes, the first needn't wait.
    for (successes, wait) in [(0, 2), (10, 1), (0, 2)] {
        script.answer_from_now(Answer::Ok);
        for _ in 0..successes {
            client.sign_blob(TARGET, "bytes").await.unwrap();
        }
        script.answer_from_now(Answer::unavailable());
        let start = Instant::now();
        client.sign_blob(TARGET, "bytes").await.unwrap_err();
        let waited = start.elapsed().as_millis();
        assert!((wait * 100..wait * 100 + 10).contains(&waited), "{successes}: {waited}");
    }
}

/// conf: P65
#[tokio::test(start_paused = true)]
async fn a_call_can_have_its_own_retry_policy() {
    let script = Script::always(Answer::unavailable());
    let client = script.client();
    client.sign_blob(TARGET, "bytes").retry(RetryPolicy::none()).await.unwrap_err();
    assert_eq!(script.calls(), 1);
    let not_found = Script::new([Answer::status(Code::NotFound, "new account")]);
    let patient = RetryPolicy::new().also_retry(Code::NotFound);
    not_found.client().sign_blob(TARGET, "bytes").retry(patient).await.unwrap();
    assert_eq!(not_found.calls(), 2);
}

/// conf: G30
#[tokio::test(start_paused = true)]
async fn resource_exhausted_is_retried_only_if_the_server_says_when() {
    let bare = Script::always(Answer::status(Code::ResourceExhausted, "quota"));
    bare.client().sign_blob(TARGET, "bytes").await.unwrap_err();
    assert_eq!(bare.calls(), 1);

    let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(7)));
    let dated = Script::new([Answer::details(Code::ResourceExhausted, "quota", details)]);
    let start = Instant::now();
    dated.client().sign_blob(TARGET, "bytes").await.unwrap();
    assert_eq!(dated.calls(), 2);
    assert!((7.0..7.2).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
}

/// conf: G25
#[tokio::test(start_paused = true)]
async fn no_wait_passes_the_deadline_and_the_last_error_is_returned() {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(90)));
    let script = Script::always(Answer::details(Code::Unavailable, "ask again later", details));
    let start = Instant::now();
    let error = script.client().sign_blob(TARGET, "bytes").await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(error.service().unwrap().message(), "ask again later");
    assert_eq!(script.calls(), 1);
}

/// conf: G23, G24
#[tokio::test(start_paused = true)]
async fn the_shared_budget_prevents_a_storm_of_retries() {
    const CALLS: usize = 100;
    let script = Script::always(Answer::unavailable());
    let client = script.client_with(builder().retry(RetryPolicy::new().max_backoff(Duration::ZERO)));
    let start = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..CALLS {
        calls.spawn(client.sign_blob(TARGET, "bytes").timeout(Duration::from_secs(30)).into_future());
    }
    let errors = calls.join_all().await.into_iter().map(Result::unwrap_err);
    assert!(start.elapsed() <= Duration::from_secs(30));
    // Without a budget, the calls would retry as fast as they can: here, for ever.
    let stormed = script.calls();
    assert!((CALLS + 395..=CALLS + 400).contains(&stormed), "{stormed}");
    for error in errors {
        assert_eq!(error.service().unwrap().message(), "try again later", "{error:#}");
    }
}

/// conf: G33
#[tokio::test(start_paused = true)]
async fn waits_are_random_between_zero_and_a_growing_bound() {
    let mut longest = Duration::ZERO;
    let mut shortest = Duration::MAX;
    for _ in 0..40 {
        let script = Script::new([Answer::unavailable()]);
        let start = Instant::now();
        script.client().sign_blob(TARGET, "bytes").await.unwrap();
        longest = longest.max(start.elapsed());
        shortest = shortest.min(start.elapsed());
    }
    assert!(longest <= Duration::from_millis(102), "{longest:?}");
    assert!(shortest < longest, "no jitter: {shortest:?}");
}

/// conf: G2
#[tokio::test(start_paused = true)]
async fn a_transient_source_failure_is_retried_and_its_type_is_preserved() {
    let source = ScriptedSource::failing(Error::transient(std::io::Error::other("the vault is unavailable")));
    let script = Script::default();
    let error = script
        .client_with(builder().credentials(source.credentials()).retry(FIVE_ATTEMPTS))
        .sign_blob(TARGET, "bytes")
        .await
        .unwrap_err();
    assert_eq!((source.fetches(), script.calls()), (5, 0));
    assert_eq!(error.kind(), ErrorKind::Credentials);
    assert!(error.is_transient());
    assert!(format!("{error:#}").ends_with("the vault is unavailable"), "{error:#}");
    let cause: &Error = error.source().and_then(|cause| cause.downcast_ref()).unwrap();
    assert!(cause.get_ref().unwrap().is::<std::io::Error>());
}

/// conf: G3, P25, G66
#[tokio::test(start_paused = true)]
async fn a_permanent_source_failure_is_not_retried_and_no_request_is_sent() {
    let source = ScriptedSource::failing(Error::permanent("no such key"));
    let script = Script::default();
    let client = script.client_with(builder().credentials(source.credentials()));
    let error = client.sign_blob(TARGET, "bytes").await.unwrap_err();
    assert_eq!((source.fetches(), script.calls()), (1, 0));
    assert!(!error.is_transient());
    assert!(format!("{error:#}").contains("no source token: no such key"), "{error:#}");
}

/// conf: G2
#[tokio::test(start_paused = true)]
async fn a_source_that_retried_itself_is_not_retried_again() {
    let inner = Script::always(Answer::unavailable());
    let inner_client = inner.client_with(builder().retry(FIVE_ATTEMPTS));
    let source = inner_client.impersonate("source@example.com").access_token(["email"]).unwrap();
    let outer = Script::default();
    let error =
        outer.client_with(builder().credentials(source)).sign_blob(TARGET, "bytes").await.unwrap_err();
    assert_eq!((inner.calls(), outer.calls()), (5, 0));
    assert!(error.is_transient());
}

#[tokio::test(start_paused = true)]
async fn a_rejected_source_token_is_replaced_once() {
    let refusal = Answer::status(Code::Unauthenticated, "expired");
    let source = ScriptedSource::tokens(["old", "new"]);
    let script = Script::new([refusal.clone()]);
    let client = script.client_with(builder().credentials(source.credentials()));
    client.sign_blob(TARGET, "bytes").await.unwrap();
    let sent: Vec<String> =
        script.received().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(sent, ["Bearer old", "Bearer new"]);
    assert_eq!(source.fetches(), 2);

    let script = Script::always(refusal);
    let source = ScriptedSource::tokens(["first", "second", "third"]);
    let client = script.client_with(builder().credentials(source.credentials()));
    let error = client.sign_blob(TARGET, "bytes").await.unwrap_err();
    assert_eq!((error.code(), script.calls()), (Code::Unauthenticated, 2));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_replaced_only_if_it_was_rejected() {
    for code in [Code::PermissionDenied, Code::Unavailable, Code::Internal] {
        let source = ScriptedSource::tokens(["first", "second"]);
        let script = Script::new([Answer::status(code, "no")]);
        let client = script.client_with(builder().credentials(source.credentials()));
        let _ = client.sign_blob(TARGET, "bytes").await;
        assert_eq!(source.fetches(), 1, "{code:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_returns_the_rejected_token_again_is_not_retried() {
    let script = Script::always(Answer::status(Code::Unauthenticated, "expired"));
    let error = script.client().sign_blob(TARGET, "bytes").await.unwrap_err();
    assert_eq!((error.code(), script.calls()), (Code::Unauthenticated, 1));
}

#[tokio::test(start_paused = true)]
async fn only_the_rejected_token_is_invalidated() {
    let source = ScriptedSource::tokens(["one", "two"]);
    let credentials: Credentials = source.credentials();
    let old = credentials.token().await.unwrap();
    credentials.invalidate(&Token::new("another", None).unwrap());
    assert!(credentials.is_valid());
    credentials.invalidate(&old);
    assert!(!credentials.is_valid());
}
