//! Timeouts of a call and of an attempt. The clock is paused; the service is in memory.

use std::time::Duration;

use gcp_iam_credentials::{Credentials, Error, ErrorKind, RetryPolicy};
use tokio::time::Instant;
use tonic::Code;

use crate::support::accounts::TARGET;
use crate::support::runtime::ms;
use crate::support::scripted_service::{Answer, Script, builder};

/// A policy with waits near zero, so that only the timeouts take time.
const EAGER: RetryPolicy = RetryPolicy::new().initial_backoff(Duration::from_nanos(1));

/// conf: G35
#[tokio::test(start_paused = true)]
async fn a_slow_reply_within_the_default_timeouts_succeeds() {
    let script = Script::new([Answer::Ok.after(Duration::from_secs(19))]);
    script.client().sign_blob(TARGET, "bytes").await.unwrap();
    assert_eq!(script.calls(), 1);
}

/// conf: G36
#[tokio::test(start_paused = true)]
async fn a_timeout_longer_than_the_delay_changes_nothing() {
    let script = Script::new([Answer::Ok.after(ms(100))]);
    script.client().sign_blob(TARGET, "bytes").attempt_timeout(ms(200)).timeout(ms(200)).await.unwrap();
    assert_eq!(script.calls(), 1);
}

/// conf: G37
#[tokio::test(start_paused = true)]
async fn an_attempt_ends_exactly_at_its_timeout() {
    let script = Script::always(Answer::Hang);
    let start = Instant::now();
    let call = script.client().sign_blob(TARGET, "bytes").attempt_timeout(ms(100)).retry(RetryPolicy::none());
    let error = call.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert!(error.is_transient());
    assert!((ms(100)..=ms(101)).contains(&start.elapsed()), "{:?}", start.elapsed());
}

/// conf: G38, G39
#[tokio::test(start_paused = true)]
async fn the_last_attempt_gets_the_remaining_time_of_the_call() {
    let script = Script::always(Answer::Hang);
    let start = Instant::now();
    let call =
        script.client().sign_blob(TARGET, "bytes").attempt_timeout(ms(100)).timeout(ms(150)).retry(EAGER);
    let error = call.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!((ms(150)..=ms(152)).contains(&start.elapsed()), "{:?}", start.elapsed());
    let sent: Vec<u64> =
        script.received().iter().map(|seen| micros(seen.header("grpc-timeout").unwrap())).collect();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], 100_000);
    assert!((40_000..=50_000).contains(&sent[1]), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn the_defaults_are_twenty_and_sixty_seconds() {
    let script = Script::always(Answer::Hang);
    let start = Instant::now();
    let error = script.client().sign_blob(TARGET, "bytes").retry(EAGER).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(script.calls(), 3);
    assert!((59.9..60.1).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
    assert_eq!(script.received()[0].header("grpc-timeout"), Some("20000000u"));
}

/// conf: M4
#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_ends_the_attempt_and_is_retried() {
    let script = Script::new([Answer::Stall]);
    let start = Instant::now();
    script.client().sign_blob(TARGET, "bytes").attempt_timeout(ms(300)).await.unwrap();
    assert_eq!(script.calls(), 2);
    assert!((ms(300)..ms(420)).contains(&start.elapsed()), "{:?}", start.elapsed());
}

/// conf: M11
#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_bounded_by_the_timeout_of_the_call() {
    let credentials = Credentials::from_fn(|| async {
        std::future::pending::<()>().await;
        Err(Error::permanent("never said"))
    });
    let script = Script::default();
    let start = Instant::now();
    let call = script.client_with(builder().credentials(credentials)).sign_blob(TARGET, "bytes");
    let error = call.attempt_timeout(ms(500)).timeout(ms(700)).retry(EAGER).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(format!("{error:#}").contains("no source token"), "{error:#}");
    assert!((ms(700)..=ms(702)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(script.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_time_for_the_source_token_is_subtracted_from_the_attempt() {
    let credentials = Credentials::from_fn(|| async {
        tokio::time::sleep(ms(400)).await;
        gcp_iam_credentials::Token::new("late", None)
    });
    let script = Script::default();
    let client = script.client_with(builder().credentials(credentials));
    client.sign_blob(TARGET, "bytes").attempt_timeout(ms(1000)).await.unwrap();
    let sent = micros(script.only_request().header("grpc-timeout").unwrap());
    assert!((590_000..=600_000).contains(&sent), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_reports_the_error_of_the_attempt_before() {
    let script = Script::new([Answer::unavailable()]).then(Answer::Hang);
    let call = script.client().sign_blob(TARGET, "bytes").timeout(ms(500)).retry(EAGER);
    let error = call.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(
        format!("{error:#}")
            .contains("no success within 500ms (after 2 attempts): UNAVAILABLE: try again later"),
        "{error:#}"
    );
    assert_eq!(error.service().unwrap().message(), "try again later");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_any_length_does_not_panic() {
    for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let script = Script::always(Answer::Ok.after(ms(10)));
        let outcome =
            script.client().sign_blob(TARGET, "bytes").timeout(timeout).attempt_timeout(timeout).await;
        assert_eq!(outcome.is_ok(), timeout == Duration::MAX, "{timeout:?}: {outcome:?}");
        assert!(timeout != Duration::ZERO || script.calls() == 0, "a request was sent without time for it");
    }
}

fn micros(value: &str) -> u64 {
    value.strip_suffix('u').expect("microseconds").parse().unwrap()
}
