//! What the layer allocates: a file of its own, for the counter is a global allocator.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use allocation_counter::{AllocationInfo, measure};
use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{Credentials, IamCredentialsClient, Token};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use tower::{Layer, Service};

const REQUESTS: usize = 100;
const OTHER_HEADERS: [&str; 6] =
    ["content-type", "te", "user-agent", "grpc-timeout", "x-goog-request-params", "x-goog-api-client"];

/// Replies at once, and allocates nothing.
#[derive(Clone)]
struct Trivial;

impl Service<Request<()>> for Trivial {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(())))
    }
}

/// Puts a ready header on each request, and no more.
#[derive(Clone)]
struct Insert(HeaderValue);

impl Service<Request<()>> for Insert {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<()>) -> Self::Future {
        request.headers_mut().insert(header::AUTHORIZATION, self.0.clone());
        Trivial.call(request)
    }
}

/// A token of 1 KiB that lives for another hour.
fn token() -> Token {
    Token::new("x".repeat(1024), SystemTime::now() + Duration::from_secs(3600)).unwrap()
}

fn requests(room: usize) -> Vec<Request<()>> {
    let request = || {
        let mut headers = HeaderMap::with_capacity(room);
        for name in OTHER_HEADERS {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("some value"));
        }
        let mut request = Request::new(());
        *request.headers_mut() = headers;
        request
    };
    std::iter::repeat_with(request).take(REQUESTS).collect()
}

/// Polls once: nothing here has to wait.
fn finish<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("had to wait"),
    }
}

/// What it takes to send the requests, which are there already.
fn cost<S>(service: &mut S, requests: Vec<Request<()>>) -> AllocationInfo
where
    S: Service<Request<()>, Response = Response<()>, Error: std::fmt::Debug>,
{
    let mut send = |request| {
        let mut context = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut context).is_ready());
        finish(service.call(request)).unwrap();
    };
    // What is made once for a thread is made now.
    send(Request::new(()));
    measure(|| requests.into_iter().for_each(&mut send))
}

#[tokio::test]
async fn a_request_with_a_fresh_token_allocates_nothing() {
    let credentials = Credentials::from_fn(|| async { Ok(token()) });
    credentials.token().await.unwrap();
    let mut service = credentials.layer().layer(Trivial);
    let cost = cost(&mut service, requests(16));
    assert_eq!(cost.count_total, 0, "{cost:?}");
}

#[tokio::test]
async fn where_the_header_map_must_grow_nothing_is_added_to_that() {
    let credentials = Credentials::from_fn(|| async { Ok(token()) });
    credentials.token().await.unwrap();
    let insert = cost(&mut Insert(token().header_value().clone()), requests(6));
    assert!(insert.count_total > 0, "the map has no room for a seventh header: {insert:?}");
    let ours = cost(&mut credentials.layer().layer(Trivial), requests(6));
    assert_eq!((ours.count_total, ours.bytes_total), (insert.count_total, insert.bytes_total));
    let layer =
        credentials.layer().allow_hosts(["*.googleapis.com"]).header_name(header::PROXY_AUTHORIZATION);
    let with_options = cost(&mut layer.layer(Trivial), requests(6));
    assert_eq!(with_options.count_total, insert.count_total);
}

/// conf: P31
#[tokio::test]
async fn saying_that_the_account_is_impersonated_allocates_nothing() {
    let emulator = Emulator::builder().start().await.unwrap();
    let client = IamCredentialsClient::builder()
        .credentials(Credentials::fixed(token()))
        .endpoint(emulator.endpoint())
        .build()
        .unwrap();
    let acting = client.impersonate("target@example.iam.gserviceaccount.com");
    let acting = acting.access_token([CLOUD_PLATFORM]).unwrap();
    acting.token().await.unwrap();
    let mut service = acting.layer().layer(Trivial);
    // The first request joins the client's words and ours; all others say the same.
    cost(&mut service, requests(16));
    let cost = cost(&mut service, requests(16));
    assert_eq!(cost.count_total, 0, "{cost:?}");
}

/// Without this, a counter that counts nothing would go unnoticed.
#[tokio::test]
async fn a_request_that_waits_for_its_token_allocates() {
    let credentials = Credentials::from_fn(std::future::pending);
    let mut service = credentials.layer().layer(Trivial);
    let cost = measure(|| {
        let mut waiting = Box::pin(service.call(Request::new(())));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    });
    assert!(cost.count_total > 0);
}
