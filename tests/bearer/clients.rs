//! The layer around real clients, which call real servers: tonic's and hyper's.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gcp_iam_credentials::bearer::{BearerError, BearerService, TokenError};
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{Credentials, Error};
use http::{Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer, Service, ServiceExt};

use crate::health_server::{HealthServer, whole_server};
use crate::support::closed_port::ClosedPort;
use crate::support::emulator::{client_of, start};
use crate::support::services::echo;
use crate::support::token_source::{Outcome, ScriptedSource};

fn health(credentials: &Credentials, channel: Channel) -> HealthClient<BearerService<Channel>> {
    HealthClient::new(credentials.layer().layer(channel))
}

/// conf: P31, G1
#[tokio::test]
async fn a_tonic_client_works_over_a_channel() {
    let server = HealthServer::start().await;
    let source = ScriptedSource::numbered();
    let mut client = health(&source.credentials(), server.endpoint().connect_lazy());
    for _ in 0..2 {
        let reply = client.check(whole_server()).await.unwrap().into_inner();
        assert_eq!(reply.status(), ServingStatus::Serving);
    }
    let mut changes = client.watch(whole_server()).await.unwrap().into_inner();
    assert_eq!(changes.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    assert_eq!(server.authorizations(), ["Bearer token-1"; 3]);
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn a_tonic_client_works_over_a_balanced_channel() {
    let servers = [HealthServer::start().await, HealthServer::start().await];
    let source = ScriptedSource::numbered();
    let balanced = Channel::balance_list(servers.iter().map(HealthServer::endpoint));
    let mut client = health(&source.credentials(), balanced);
    // Each call goes to a random server: 200 calls all go to the same one in 1 of 2^199 runs.
    let mut calls = 0;
    while servers.iter().any(|server| server.authorizations().is_empty()) && calls < 200 {
        client.check(whole_server()).await.unwrap();
        calls += 1;
    }
    for seen in servers.map(|server| server.authorizations()) {
        assert!(!seen.is_empty() && seen.iter().all(|value| value == "Bearer token-1"), "{seen:?}");
    }
    assert_eq!(source.fetches(), 1);
}

/// conf: M14
#[tokio::test]
async fn a_tonic_client_sees_the_rejection_and_its_next_call_has_a_new_token() {
    let server = HealthServer::accepting(|value| value != "Bearer token-1").await;
    let source = ScriptedSource::numbered();
    let mut client = health(&source.credentials(), server.endpoint().connect_lazy());
    let status = client.check(whole_server()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "by the API"));
    assert!(
        TokenError::find_in(&status).is_none(),
        "the API rejected the token, so the error is not the layer's"
    );
    for _ in 0..3 {
        client.check(whole_server()).await.unwrap();
    }
    assert_eq!(server.authorizations()[..2], ["Bearer token-1", "Bearer token-2"]);
    assert_eq!(source.fetches(), 2);
}

/// conf: M32, G3
#[tokio::test]
async fn a_tonic_client_gets_a_constant_status_whose_source_is_the_cause() {
    let server = HealthServer::start().await;
    let denied = || Status::permission_denied("Permission 'iam.serviceAccounts.getAccessToken' denied");
    for (cause, code) in
        [(Error::permanent(denied()), Code::Unauthenticated), (Error::transient(denied()), Code::Unavailable)]
    {
        let mut client =
            health(&ScriptedSource::failing(cause).credentials(), server.endpoint().connect_lazy());
        let status = client.check(whole_server()).await.unwrap_err();
        assert_eq!(status.code(), code, "IAM's own code would be taken for the API's");
        assert!(!status.to_string().contains("iam"), "{status}");
        assert!(status.details().is_empty() && status.metadata().is_empty());
        let cause = TokenError::find_in(&status).unwrap();
        assert!(cause.to_string().contains("getAccessToken"), "{cause}");
        assert!(cause.get_ref().unwrap().is::<Status>(), "IAM's answer is reachable");
    }
    assert_eq!(server.authorizations(), [""; 0], "a request was sent");
}

/// conf: M32
#[tokio::test]
async fn the_status_of_a_failure_keeps_its_cause_through_other_layers() {
    let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
    let service = ScriptedSource::failing(Error::permanent("no grant")).credentials().layer().layer(channel);
    let service = tower::ServiceBuilder::new().buffer(8).timeout(Duration::from_secs(5)).service(service);
    let status = HealthClient::new(service).check(whole_server()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(TokenError::find_in(&status).map(ToString::to_string).as_deref(), Some("no grant"));
}

#[tokio::test]
async fn errors_of_the_channel_have_the_same_code_as_without_the_layer() {
    let credentials = ScriptedSource::numbered().credentials();
    let closed = ClosedPort::new();
    let channel = Endpoint::from_shared(format!("http://{}", closed.address())).unwrap().connect_lazy();
    let bare = HealthClient::new(channel.clone()).check(whole_server()).await.unwrap_err();
    let ours = health(&credentials, channel);
    for path in ["slow", "fast"] {
        let ours = ours.clone().check(whole_server()).await.unwrap_err();
        assert_eq!((ours.code(), ours.message()), (bare.code(), bare.message()), "{path} path");
        assert_eq!(ours.code(), Code::Unavailable);
        assert!(TokenError::find_in(&ours).is_none());
    }

    let busy = tower::service_fn(|_: Request<tonic::body::Body>| {
        std::future::pending::<Result<Response<tonic::body::Body>, Infallible>>()
    });
    let shed = tower::ServiceBuilder::new().load_shed().concurrency_limit(1).service(busy);
    let mut first = shed.clone();
    let _busy = first.ready().await.unwrap().call(Request::new(tonic::body::Body::empty()));
    let bare = HealthClient::new(shed.clone()).check(whole_server()).await;
    let ours = HealthClient::new(credentials.layer().layer(shed)).check(whole_server()).await;
    let codes = [bare, ours].map(|outcome| outcome.unwrap_err().code());
    assert_eq!(codes, [Code::ResourceExhausted; 2]);
}

/// conf: M11
#[tokio::test]
async fn a_tonic_requests_timeout_bounds_the_wait_for_a_token() {
    let server = HealthServer::start().await;
    let endless = ScriptedSource::new([Outcome::Hang]).credentials();
    let mut client = health(&endless, server.endpoint().connect_lazy());
    let mut request = tonic::Request::new(whole_server());
    request.set_timeout(Duration::from_millis(100));
    let outcome = tokio::time::timeout(Duration::from_secs(10), client.check(request)).await;
    let status = outcome.expect("the wait ends at the caller's deadline").unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(TokenError::find_in(&status).unwrap().is_transient());
}

#[tokio::test]
async fn a_plaintext_origin_is_refused_unless_it_is_loopback() {
    let source = ScriptedSource::numbered();
    let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
    let service = source.credentials().layer().layer(channel);
    let mut client =
        HealthClient::with_origin(service, http::Uri::from_static("http://pubsub.googleapis.com"));
    let status = client.check(whole_server()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(TokenError::find_in(&status).unwrap().field(), Some("uri"));
    assert_eq!(source.fetches(), 0);
}

/// Starts a server that rejects the first token with HTTP status 401.
async fn http_server(seen: &Arc<Mutex<Vec<String>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::clone(seen);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let values = request.headers().get_all(header::AUTHORIZATION).into_iter();
        let values: Vec<_> = values.map(|value| value.to_str().unwrap().to_owned()).collect();
        let status = match &values[..] {
            [value] if value != "Bearer token-1" => StatusCode::OK,
            _ => StatusCode::UNAUTHORIZED,
        };
        seen.lock().unwrap().extend(values);
        std::future::ready(Response::builder().status(status).body(Empty::<Bytes>::new()))
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let service = service.clone();
            tokio::spawn(async move {
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// conf: M23
#[tokio::test]
async fn a_hyper_client_works_over_http1_and_http2() {
    for http2 in [false, true] {
        let seen = Arc::default();
        let address = http_server(&seen).await;
        let source = ScriptedSource::numbered();
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http::<Empty<Bytes>>();
        let mut client = source.credentials().layer().layer(client);
        let mut statuses = Vec::new();
        for _ in 0..3 {
            let request = Request::get(format!("http://{address}/"))
                .header(header::AUTHORIZATION, "Basic of-the-caller")
                .body(Empty::new())
                .unwrap();
            statuses.push(client.ready().await.unwrap().call(request).await.unwrap().status().as_u16());
        }
        assert_eq!(statuses, [401, 200, 200], "http2: {http2}");
        assert_eq!(*seen.lock().unwrap(), ["Bearer token-1", "Bearer token-2", "Bearer token-2"]);
        assert_eq!(source.fetches(), 2);
    }
}

#[tokio::test]
async fn a_hyper_client_can_distinguish_its_own_errors_from_the_layers() {
    let closed = ClosedPort::new();
    let get = |uri: String| Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let credentials = ScriptedSource::numbered().credentials();
    let client = credentials.layer().layer(client);
    match client.clone().oneshot(get(format!("http://{}/", closed.address()))).await {
        Err(BearerError::Inner(error)) => assert!(error.is_connect()),
        other => panic!("{other:?}"),
    }
    match client.oneshot(get("http://storage.googleapis.com/".to_owned())).await {
        Err(BearerError::Token(error)) => assert_eq!(error.cause().field(), Some("uri")),
        other => panic!("{other:?}"),
    }
}

/// conf: P31
#[tokio::test]
async fn the_credential_type_is_appended_to_the_clients_own_header() {
    let emulator = start().await;
    let acting = client_of(&emulator).impersonate("target@example.iam.gserviceaccount.com");
    let access = acting.access_token([CLOUD_PLATFORM]).unwrap().layer();
    let identity = acting.id_token("https://run.example").unwrap().layer();
    for (layer, own, all) in [
        (access.clone(), None, Some("cred-type/imp")),
        (access.clone(), Some("gl-rust/1.90 gapic/1"), Some("gl-rust/1.90 gapic/1 cred-type/imp")),
        (access.header_name(header::PROXY_AUTHORIZATION), None, None),
        // ID tokens are for services that are not Google's.
        (identity, None, None),
    ] {
        let mut request = Request::new(());
        if let Some(own) = own {
            request.headers_mut().insert("x-goog-api-client", own.parse().unwrap());
        }
        let headers = layer.layer(echo()).oneshot(request).await.unwrap().into_body();
        let sent: Vec<_> = headers.get_all("x-goog-api-client").iter().collect();
        assert_eq!(sent, all.as_slice());
        assert!(headers.values().any(|value| value.as_bytes().starts_with(b"Bearer ")));
    }
}

#[tokio::test]
async fn the_backpressure_of_the_inner_service_is_preserved() {
    let credentials = ScriptedSource::numbered().credentials();
    let (mock, mut handle) = tower_test::mock::pair::<Request<()>, Response<&str>>();
    let mut service = credentials.layer().layer(mock);
    handle.allow(0);
    let mut ready = Box::pin(service.ready());
    let waker = std::task::Waker::noop();
    assert!(ready.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
    drop(ready);

    handle.allow(2);
    let reply = tokio::spawn(service.ready().await.unwrap().call(Request::new(())));
    let (request, send) = handle.next_request().await.unwrap();
    assert_eq!(request.headers()[header::AUTHORIZATION], "Bearer token-1");
    send.send_response(Response::new("hello"));
    assert_eq!(reply.await.unwrap().unwrap().into_body(), "hello");
}
