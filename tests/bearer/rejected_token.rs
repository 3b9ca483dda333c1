//! APIs that reject a token: when the layer invalidates it, and how often it is replaced.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gcp_iam_credentials::{BearerLayer, Credentials};
use http::{Request, Response, StatusCode, header};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt, service_fn};

use crate::services::{replies, request};
use crate::support::log_capture::LogCapture;
use crate::support::runtime::one_thread;
use crate::support::token_source::ScriptedSource;

async fn fetches_after(
    reply: (StatusCode, Option<&'static str>),
    layer: fn(&Credentials) -> BearerLayer,
) -> usize {
    let source = ScriptedSource::numbered();
    let service = layer(&source.credentials()).layer(replies(reply.0, reply.1));
    for _ in 0..2 {
        let response = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status(), reply.0, "the layer changed the reply");
    }
    source.fetches()
}

#[tokio::test]
async fn a_rejected_token_is_replaced_for_the_next_request() {
    for refusal in [
        (StatusCode::OK, Some("16")),
        (StatusCode::UNAUTHORIZED, None),
        (StatusCode::UNAUTHORIZED, Some("16")),
    ] {
        assert_eq!(fetches_after(refusal, Credentials::layer).await, 2, "{refusal:?}");
    }
}

#[test]
fn a_rejection_is_logged_with_both_statuses() {
    for (reply, logged) in [
        ((StatusCode::OK, Some("16")), r#"status=200 grpc_status="16""#),
        ((StatusCode::UNAUTHORIZED, None), "status=401"),
    ] {
        let log = LogCapture::while_running(|| {
            one_thread().block_on(fetches_after(reply, Credentials::layer));
        });
        let text = log.text();
        assert!(text.contains("the called API rejected the token") && text.contains(logged), "{text}");
    }
}

/// conf: M14
#[tokio::test]
async fn a_late_rejection_of_an_old_token_leaves_the_new_one_cached() {
    let source = ScriptedSource::numbered();
    let credentials = source.credentials();
    credentials.token().await.unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&gate);
    let slow = service_fn(move |_: Request<()>| {
        let gate = Arc::clone(&waits);
        async move {
            gate.acquire_owned().await.unwrap().forget();
            Ok::<_, Infallible>(Response::builder().status(StatusCode::UNAUTHORIZED).body(()).unwrap())
        }
    });
    let late = tokio::spawn(credentials.layer().layer(slow).oneshot(request()));
    tokio::task::yield_now().await;
    let newer = credentials.refresh().await.unwrap();
    gate.add_permits(1);
    late.await.unwrap().unwrap();
    assert_eq!(credentials.cached().unwrap().secret(), newer.secret());
    assert_eq!(source.fetches(), 2);
}

/// conf: M14
#[tokio::test]
async fn other_replies_invalidate_no_token() {
    for reply in [
        (StatusCode::OK, None),
        (StatusCode::OK, Some("0")),
        (StatusCode::OK, Some("7")),
        (StatusCode::OK, Some("1")),
        (StatusCode::OK, Some("6")),
        (StatusCode::OK, Some("160")),
        (StatusCode::FORBIDDEN, None),
        (StatusCode::FORBIDDEN, Some("7")),
        (StatusCode::PROXY_AUTHENTICATION_REQUIRED, None),
        (StatusCode::INTERNAL_SERVER_ERROR, None),
    ] {
        assert_eq!(fetches_after(reply, Credentials::layer).await, 1, "{reply:?}");
    }
}

#[tokio::test]
async fn a_proxy_rejects_a_token_with_407() {
    let layer = |credentials: &Credentials| credentials.layer().header_name(header::PROXY_AUTHORIZATION);
    assert_eq!(fetches_after((StatusCode::PROXY_AUTHENTICATION_REQUIRED, None), layer).await, 2);
}

/// conf: M14
#[tokio::test]
async fn a_burst_of_rejections_of_one_token_starts_one_refresh() {
    let source = ScriptedSource::numbered();
    let credentials = source.credentials();
    credentials.token().await.unwrap();
    let (arrivals, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let target = (Arc::clone(&arrivals), Arc::clone(&gate));
    // Rejects only the first token.
    let service = credentials.layer().layer(service_fn(move |request: Request<()>| {
        let (arrivals, gate) = target.clone();
        async move {
            arrivals.fetch_add(1, Ordering::SeqCst);
            gate.acquire_owned().await.unwrap().forget();
            let old = request.headers()[header::AUTHORIZATION] == "Bearer token-1";
            let status = if old { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
            Ok::<_, Infallible>(Response::builder().status(status).body(()).unwrap())
        }
    }));
    let mut burst: Vec<_> = (0..1000).map(|_| tokio::spawn(service.clone().oneshot(request()))).collect();
    while arrivals.load(Ordering::SeqCst) < 1000 {
        tokio::task::yield_now().await;
    }
    // Half of the rejections arrive before there is a new token, and half after.
    gate.add_permits(500);
    for reply in burst.drain(..500) {
        assert_eq!(reply.await.unwrap().unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    gate.add_permits(1000);
    let fresh = tokio::spawn(service.clone().oneshot(request()));
    for reply in burst {
        assert_eq!(reply.await.unwrap().unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(fresh.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(service.oneshot(request()).await.unwrap().status(), StatusCode::OK);
    assert_eq!(source.fetches(), 2);
}

/// conf: M31
#[tokio::test(start_paused = true)]
async fn an_api_that_rejects_every_token_causes_at_most_two_refreshes_a_minute() {
    let source = ScriptedSource::numbered();
    let service = source.credentials().layer().layer(replies(StatusCode::OK, Some("16")));
    for _ in 0..3600 {
        service.clone().oneshot(request()).await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let fetches = source.fetches();
    assert!((100..=1 + 3 + 120).contains(&fetches), "{fetches} fetches in an hour");
}

/// conf: N10
#[tokio::test]
async fn a_rejection_that_arrives_after_the_layer_is_gone_still_counts_for_the_credentials() {
    for others_are_left in [true, false] {
        let source = ScriptedSource::numbered();
        let credentials = source.credentials();
        credentials.token().await.unwrap();
        let gate = Arc::new(Semaphore::new(0));
        let opened = Arc::clone(&gate);
        let service = credentials.layer().layer(service_fn(move |_: Request<()>| {
            let opened = Arc::clone(&opened);
            async move {
                opened.acquire_owned().await.unwrap().forget();
                Ok::<_, Infallible>(Response::builder().status(StatusCode::UNAUTHORIZED).body(()).unwrap())
            }
        }));
        let in_flight = tokio::spawn(service.oneshot(request()));
        tokio::task::yield_now().await;
        let others = others_are_left.then_some(credentials);
        gate.add_permits(1);
        assert_eq!(in_flight.await.unwrap().unwrap().status(), StatusCode::UNAUTHORIZED);
        if let Some(others) = others {
            assert_eq!(others.token().await.unwrap().secret(), "token-2");
        }
    }
}
