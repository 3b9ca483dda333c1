//! Requests that wait for a token, and their deadlines.

use std::sync::Arc;
use std::time::Duration;

use gcp_iam_credentials::bearer::BearerError;
use http::Request;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
use tower::{Layer, Service, ServiceExt};

use crate::services::{RequestCounter, request, values};
use crate::support::runtime::poll_once;
use crate::support::services::echo;
use crate::support::token_source::ScriptedSource;

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
#[tokio::test]
async fn a_caller_gives_up_at_its_own_deadline_and_the_others_get_the_token() {
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
    assert!((Duration::from_millis(100)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
    assert_eq!(Status::from(error).code(), Code::Unavailable);

    source.release(1);
    let headers = patient.await.unwrap().unwrap().into_body();
    assert_eq!(values(&headers, "authorization"), ["Bearer token-1"]);
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn the_deadline_applies_while_the_inner_service_is_not_ready() {
    let slot = Arc::new(Semaphore::new(1));
    let busy = GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(&slot)).layer(echo());
    let source = ScriptedSource::numbered().gated();
    let mut service = source.credentials().layer().layer(busy);
    let hasty = Request::builder().header("grpc-timeout", "100m").body(()).unwrap();
    let reply = service.ready().await.unwrap().call(hasty);
    let _taken = slot.acquire().await.unwrap();
    source.release(1);
    let outcome =
        tokio::time::timeout(Duration::from_secs(5), reply).await.expect("the deadline still applies");
    assert!(matches!(outcome, Err(BearerError::Token(_))));
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
