//! What the layer allocates. The counter is a global allocator, which only this process has.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

mod support;

use std::convert::Infallible;
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime};

use allocation_counter::{AllocationInfo, measure};
use gcp_iam_credentials::proto::GenerateAccessTokenResponse;
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{Credentials, IamCredentialsClient, ImpersonationPool, Token};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use prost::Message;
use tonic::body::Body;
use tower::{Layer, Service, ServiceExt};

use support::emulator::{client_of, start};
use support::grpc_reply;
use support::runtime::{finish, poll_once};
use support::services::ReplyAtOnce;

const REQUESTS: usize = 100;
const OTHER_HEADERS: [&str; 6] =
    ["content-type", "te", "user-agent", "grpc-timeout", "x-goog-request-params", "x-goog-api-client"];

/// Returns a token of 1 KiB that lives for another hour.
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

/// Counts the allocations of sending these requests.
fn cost<S>(service: &mut S, requests: Vec<Request<()>>) -> AllocationInfo
where
    S: Service<Request<()>, Response = Response<()>, Error: std::fmt::Debug>,
{
    let mut send = |request| {
        let mut context = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut context).is_ready());
        finish(service.call(request)).unwrap();
    };
    // The first request initializes what each thread needs once.
    send(Request::new(()));
    measure(|| requests.into_iter().for_each(&mut send))
}

#[tokio::test]
async fn a_request_with_a_fresh_token_allocates_nothing() {
    let credentials = Credentials::from_fn(|| async { Ok(token()) });
    credentials.token().await.unwrap();
    let mut service = credentials.layer().layer(ReplyAtOnce);
    let cost = cost(&mut service, requests(16));
    assert_eq!(cost.count_total, 0, "{cost:?}");
}

#[tokio::test]
async fn growing_the_header_map_is_all_that_a_request_allocates() {
    let credentials = Credentials::from_fn(|| async { Ok(token()) });
    credentials.token().await.unwrap();
    // The least that any layer has to do.
    let value = token().header_value().clone();
    let mut insert = ReplyAtOnce.map_request(|mut request: Request<()>| {
        request.headers_mut().insert(header::AUTHORIZATION, value.clone());
        request
    });
    let insert = cost(&mut insert, requests(6));
    assert!(insert.count_total > 0, "the map must grow for a seventh header: {insert:?}");
    let ours = cost(&mut credentials.layer().layer(ReplyAtOnce), requests(6));
    assert_eq!((ours.count_total, ours.bytes_total), (insert.count_total, insert.bytes_total));
    let layer =
        credentials.layer().allow_hosts(["*.googleapis.com"]).header_name(header::PROXY_AUTHORIZATION);
    let with_options = cost(&mut layer.layer(ReplyAtOnce), requests(6));
    assert_eq!(with_options.count_total, insert.count_total);
}

/// conf: P31
#[tokio::test]
async fn sending_the_credential_type_allocates_nothing() {
    let emulator = start().await;
    let acting = client_of(&emulator).impersonate("target@example.iam.gserviceaccount.com");
    let acting = acting.access_token([CLOUD_PLATFORM]).unwrap();
    acting.token().await.unwrap();
    let mut service = acting.layer().layer(ReplyAtOnce);
    // The first request joins the client's header value and the crate's. All others reuse the result.
    cost(&mut service, requests(16));
    let cost = cost(&mut service, requests(16));
    assert_eq!(cost.count_total, 0, "{cost:?}");
}

/// Proves that the counter counts.
#[tokio::test]
async fn a_request_that_waits_for_its_token_allocates() {
    let credentials = Credentials::from_fn(std::future::pending);
    let mut service = credentials.layer().layer(ReplyAtOnce);
    let cost = measure(|| {
        let mut waiting = Box::pin(service.call(Request::new(())));
        assert!(poll_once(waiting.as_mut()).is_pending());
    });
    assert!(cost.count_total > 0);
}

/// conf: A15
#[cfg(feature = "credential-files")]
#[tokio::test]
async fn another_subject_takes_no_token_endpoint_of_its_own() {
    const SUBJECTS: usize = 1_000;
    let emulator = start().await;
    let client = client_of(&emulator);
    let subject = |number: usize| {
        let acting = client.impersonate("sa@project.iam.gserviceaccount.com");
        acting.subject(format!("user{number}@corp.example")).access_token([CLOUD_PLATFORM]).unwrap()
    };
    let _first = subject(0);
    let mut subjects = Vec::with_capacity(SUBJECTS);
    let cost = measure(|| subjects.extend((1..=SUBJECTS).map(subject)));
    let each = cost.bytes_current / SUBJECTS as i64;
    assert!(each < 1_100, "{each} bytes for a subject");
}

/// conf: N9
#[test]
fn an_identity_of_a_pool_takes_little_more_memory_than_its_token() {
    const TOKEN_BYTES: usize = 1024;
    let service = tower::service_fn(|_: Request<Body>| async {
        let reply = GenerateAccessTokenResponse {
            access_token: "x".repeat(TOKEN_BYTES),
            expire_time: Some((SystemTime::now() + Duration::from_secs(3600)).into()),
        };
        Ok::<_, Infallible>(grpc_reply::success(&reply.encode_to_vec()))
    });
    let source = Credentials::fixed(Token::new("source", None).unwrap());
    let builder = IamCredentialsClient::builder().credentials(source).endpoint("http://127.0.0.1:1");
    let pool = ImpersonationPool::builder(builder.build_with(service).unwrap()).build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fill = |numbers: std::ops::Range<usize>| {
        for number in numbers {
            let target = format!("customer-{number:06}@project-of-ours.iam.gserviceaccount.com");
            let acting = pool.impersonate(target).access_token([CLOUD_PLATFORM]).unwrap();
            assert_eq!(runtime.block_on(acting.token()).unwrap().secret().len(), TOKEN_BYTES);
        }
    };
    // The pool's tables have room for all of the second part.
    fill(0..2000);
    let bytes = measure(|| fill(2000..3000)).bytes_current / 1000;
    assert!((1024..1024 + 640).contains(&bytes), "{bytes} bytes");
}
