//! Requests that wait for a token, and their deadlines.

use std::sync::Arc;
use std::time::Duration;

use gcp_iam_credentials::bearer::BearerError;
use gcp_iam_credentials::{Credentials, Error, ErrorKind};
use http::{HeaderValue, Request};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
use tower::{Layer, Service, ServiceExt};

use crate::services::{ReadyAfter, RequestCounter, request, values};
use crate::support::runtime::{finish, poll_once};
use crate::support::services::echo;
use crate::support::token_source::{Outcome, ScriptedSource};

const HOUR: Duration = Duration::from_secs(3600);

/// conf: M24
#[tokio::test]
async fn callers_that_wait_for_a_token_occupy_no_slot_of_the_service() {
    let source = ScriptedSource::numbered().gated();
    let service = source.credentials().layer().layer(ConcurrencyLimitLayer::new(1).layer(echo()));
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut service = service.clone();
        let ready = tokio::time::timeout(Duration::from_secs(5), service.ready());
        let reply =
            ready.await.expect("a waiting caller does not occupy the only slot").unwrap().call(request());
        // The service outlives the call, as the channel of a client does.
        waiting.push((service, tokio::spawn(reply)));
    }
    tokio::task::yield_now().await;
    assert_eq!(source.fetches(), 1);
    source.release(1);
    for (_service, reply) in waiting {
        let reply = tokio::time::timeout(Duration::from_secs(5), reply).await;
        let headers = reply.expect("the callers do not block each other").unwrap().unwrap().into_body();
        assert_eq!(values(&headers, "authorization"), ["Bearer token-1"]);
    }
}

#[tokio::test]
async fn a_request_waits_for_its_token_and_is_sent_once() {
    let source = ScriptedSource::numbered().gated();
    let requests = RequestCounter::default();
    let mut service = source.credentials().layer().layer(requests.service());
    let mut reply = Box::pin(service.ready().await.unwrap().call(request()));
    assert!(poll_once(reply.as_mut()).is_pending());
    tokio::task::yield_now().await;
    assert_eq!((source.fetches(), requests.count()), (1, 0));
    source.release(1);
    reply.await.unwrap();
    assert_eq!((source.fetches(), requests.count()), (1, 1));
}

/// conf: M11
#[tokio::test(start_paused = true)]
async fn a_caller_gives_up_before_its_own_deadline_and_the_others_get_the_token() {
    let source = ScriptedSource::numbered().gated();
    let service = source.credentials().layer().layer(echo());
    let hasty = Request::builder().header("grpc-timeout", "100m").body(()).unwrap();
    let start = Instant::now();
    // This caller starts the fetch.
    let hasty = tokio::spawn(service.clone().oneshot(hasty));
    tokio::task::yield_now().await;
    let patient = tokio::spawn(service.oneshot(request()));
    let error = hasty.await.unwrap().unwrap_err();
    let waited = start.elapsed();
    assert!((Duration::from_millis(75)..Duration::from_millis(80)).contains(&waited), "{waited:?}");
    assert_eq!(Status::from(error).code(), Code::Unavailable);

    source.release(1);
    let headers = patient.await.unwrap().unwrap().into_body();
    assert_eq!(values(&headers, "authorization"), ["Bearer token-1"]);
    assert_eq!(source.fetches(), 1);
}

/// conf: A3
#[tokio::test(start_paused = true)]
async fn the_time_limit_applies_while_the_inner_service_is_not_ready() {
    let slot = Arc::new(Semaphore::new(1));
    let busy = GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(&slot)).layer(echo());
    let source = ScriptedSource::numbered().gated();
    let mut service = source.credentials().layer().layer(busy);
    let hasty = Request::builder().header("grpc-timeout", "100m").body(()).unwrap();
    let reply = service.ready().await.unwrap().call(hasty);
    let _taken = slot.acquire().await.unwrap();
    source.release(1);
    let start = Instant::now();
    let Err(BearerError::Token(error)) = reply.await else { panic!("the request was sent") };
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.cause().to_string().contains("the service was not ready"), "{}", error.cause());
}

/// conf: A3
#[tokio::test(start_paused = true)]
async fn a_request_is_sent_with_a_fifth_of_its_time_left_or_not_at_all() {
    for (released_after, sent) in [(0, true), (7_400, true), (7_600, false), (9_999, false), (20_000, false)]
    {
        let source = ScriptedSource::numbered().gated();
        let timed = Request::builder().header("grpc-timeout", "10S").body(()).unwrap();
        let reply = tokio::spawn(source.credentials().layer().layer(echo()).oneshot(timed));
        tokio::time::sleep(Duration::from_millis(released_after)).await;
        source.release(1);
        match reply.await.unwrap() {
            Ok(reply) => {
                let left = format!("{}u", (10_000 - released_after) * 1000);
                assert_eq!(values(reply.body(), "grpc-timeout"), [left]);
                assert!(sent, "sent after {released_after} ms");
            }
            Err(BearerError::Token(error)) => {
                assert_eq!(error.cause().kind(), ErrorKind::Timeout);
                assert!(!sent, "not sent after {released_after} ms");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// conf: A3
#[tokio::test(start_paused = true)]
async fn a_rejected_token_that_is_still_live_is_sent_in_time_if_there_is_no_other() {
    let source = ScriptedSource::new([Outcome::Numbered, Outcome::Hang]).with_lifetime(HOUR);
    let credentials = source.credentials();
    credentials.invalidate(&credentials.token().await.unwrap());
    let timed = Request::builder().header("grpc-timeout", "1S").body(()).unwrap();
    let reply = credentials.layer().layer(echo()).oneshot(timed).await.unwrap();
    assert_eq!(values(reply.body(), "authorization"), ["Bearer token-1"]);
}

/// Makes one request while the service is busy for `busy`. Returns the token that it is sent with.
async fn token_sent_after(busy: Duration, source: &ScriptedSource, meanwhile: fn(&Credentials)) -> String {
    let slot = Arc::new(Semaphore::new(1));
    let service = GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(&slot)).layer(echo());
    let credentials = source.credentials();
    let mut service = credentials.layer().layer(service);
    let reply = tokio::spawn(service.ready().await.unwrap().call(request()));
    let taken = slot.acquire().await.unwrap();
    tokio::time::sleep(busy).await;
    meanwhile(&credentials);
    drop(taken);
    values(reply.await.unwrap().unwrap().body(), "authorization").concat()
}

/// conf: A6
#[tokio::test(start_paused = true)]
async fn a_token_that_ended_before_the_service_was_ready_is_replaced() {
    let source = ScriptedSource::numbered().with_lifetime(Duration::from_secs(10));
    let busy = Duration::from_secs(11);
    assert_eq!(token_sent_after(busy, &source, |_| {}).await, "Bearer token-2");
    assert_eq!(source.fetches(), 2);
}

/// conf: A6
#[tokio::test(start_paused = true)]
async fn a_token_that_was_rejected_before_the_service_was_ready_is_replaced() {
    let source = ScriptedSource::numbered().with_lifetime(HOUR);
    let reject = |credentials: &Credentials| credentials.invalidate(&credentials.cached().unwrap());
    assert_eq!(token_sent_after(Duration::from_secs(1), &source, reject).await, "Bearer token-2");
}

/// conf: A6
#[tokio::test(start_paused = true)]
async fn a_request_does_not_wait_for_ever_for_a_token_that_lives_long_enough() {
    let source = ScriptedSource::numbered().with_lifetime(Duration::from_millis(10));
    let slow = ReadyAfter::new(Duration::from_secs(1));
    let BearerError::Token(error) =
        source.credentials().layer().layer(slow).oneshot(request()).await.unwrap_err()
    else {
        panic!("the service never fails")
    };
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.cause().to_string().contains("no token lived until"), "{}", error.cause());
    assert_eq!(source.fetches(), 4);
}

/// conf: M11
#[tokio::test]
async fn the_time_spent_waiting_is_subtracted_from_grpc_timeout() {
    let source = ScriptedSource::numbered().gated();
    let service = source.credentials().layer().layer(echo());
    let timed = || Request::builder().header("grpc-timeout", "60S").body(()).unwrap();
    let waiting = tokio::spawn(service.clone().oneshot(timed()));
    tokio::time::sleep(Duration::from_millis(50)).await;
    source.release(1);
    let headers = waiting.await.unwrap().unwrap().into_body();
    let left = values(&headers, "grpc-timeout");
    let [micros] = left[..] else { panic!("one grpc-timeout, not {left:?}") };
    let micros: u64 = micros.strip_suffix('u').unwrap().parse().unwrap();
    assert!((30_000_000..=59_950_000).contains(&micros), "{micros} µs of 60 s are left");

    let headers = service.oneshot(timed()).await.unwrap().into_body();
    assert_eq!(
        values(&headers, "grpc-timeout"),
        ["60S"],
        "a request that did not wait keeps its grpc-timeout"
    );
}

/// conf: A7
#[test]
fn without_timers_or_without_a_runtime_a_request_fails_and_nothing_panics() {
    let no_timers = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for timeout in [None, Some("10S"), Some("0S")] {
        let reply = || {
            let mut request = request();
            timeout
                .map(|value| request.headers_mut().insert("grpc-timeout", HeaderValue::from_static(value)));
            ScriptedSource::numbered().credentials().layer().layer(echo()).oneshot(request)
        };
        for outcome in [no_timers.block_on(reply()), finish(reply())] {
            let Err(BearerError::Token(error)) = outcome else { panic!("a request was sent: {outcome:?}") };
            assert_eq!((error.cause().kind(), error.code()), (ErrorKind::Credentials, Code::Unauthenticated));
        }
    }
}

#[tokio::test]
async fn a_future_that_is_polled_after_its_failure_fails_again_and_sends_nothing() {
    let source = ScriptedSource::new([Outcome::Fail(Error::permanent("no key")), Outcome::Numbered]);
    let requests = RequestCounter::default();
    let mut reply = Box::pin(source.credentials().layer().layer(requests.service()).call(request()));
    for _ in 0..2 {
        assert!(matches!(reply.as_mut().await, Err(BearerError::Token(_))));
    }
    assert_eq!(requests.count(), 0);
}
