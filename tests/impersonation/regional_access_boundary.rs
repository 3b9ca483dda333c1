//! The regional access boundary on requests: from the emulator, and from a server that misbehaves.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Fault, Method};
use gcp_iam_credentials::source::{BoxFuture, FetchRequest, Hop, SourceInfo};
use gcp_iam_credentials::{Credentials, Error, Token, TokenSource, scopes};
use http::HeaderMap;
use tonic::service::Interceptor;
use tower::{Layer, ServiceExt};

use crate::support::accounts::TARGET;
use crate::support::emulator::{client_of, start};
use crate::support::token_server::{Answer, TokenServer};

const HEADER: &str = "x-allowed-locations";

/// Tokens of an account whose boundary is looked up at a server.
struct Account(String);

impl TokenSource for Account {
    fn fetch<'a>(&'a self, _request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(async { Token::new("of-the-account", None) })
    }

    fn info(&self) -> SourceInfo {
        SourceInfo::new().with_hop(Hop::new(TARGET).with_endpoint(self.0.replace("/token", "")))
    }
}

fn bounded_by(server: &TokenServer) -> Credentials {
    Credentials::from_source(Account(server.url())).with_regional_access_boundary().unwrap()
}

fn boundary(value: &str) -> Answer {
    Answer::body(200, &serde_json::json!({"locations": ["us-east1"], "encodedLocations": value}).to_string())
}

/// Returns the boundary on a request that `apply` authenticates.
async fn applied(credentials: &Credentials) -> Option<String> {
    let mut headers = HeaderMap::new();
    credentials.apply(&mut headers).await.unwrap();
    headers.get(HEADER).map(|value| value.to_str().unwrap().to_owned())
}

/// Waits until a lookup has ended: requests don't.
async fn known(credentials: &Credentials) -> String {
    for _ in 0..1000 {
        let state = credentials.info().regional_access_boundary().unwrap().to_owned();
        if state != "not known yet" {
            return state;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no lookup has ended")
}

/// conf: P33, B4
#[tokio::test]
async fn an_impersonated_account_sends_the_emulators_boundary_after_the_first_request() {
    let emulator = start().await;
    let acting = client_of(&emulator).impersonate(TARGET).access_token([scopes::CLOUD_PLATFORM]).unwrap();
    let bounded = acting.with_regional_access_boundary().unwrap();
    assert_eq!(bounded.info().regional_access_boundary(), Some("not known yet"));
    assert_eq!(applied(&bounded).await, None, "nobody waits for a lookup");
    // google-auth sends the emulator's reply in the same form: see tests/interop/python.py.
    assert_eq!(known(&bounded).await, "0x0");
    assert_eq!(applied(&bounded).await.as_deref(), Some("0x0"));
    assert!(bounded.explain().to_string().contains("regional access boundary: 0x0"));
    let clone = bounded.clone();
    assert_eq!(applied(&clone).await.as_deref(), Some("0x0"));
    let journal = emulator.journal().entries();
    let lookups = journal.iter().filter(|entry| entry.method() == Method::AllowedLocations).count();
    assert_eq!(lookups, 1, "clones share the lookup");
    assert_eq!(applied(&acting).await, None, "the default looks nothing up");
    assert_eq!(acting.info().regional_access_boundary(), None);
}

/// conf: B3
#[tokio::test]
async fn a_fault_of_the_lookup_fails_no_request() {
    let emulator = start().await;
    emulator.faults().inject(Fault::status(tonic::Code::PermissionDenied).method(Method::AllowedLocations));
    let acting = client_of(&emulator).impersonate(TARGET).access_token([scopes::CLOUD_PLATFORM]).unwrap();
    let bounded = acting.with_regional_access_boundary().unwrap();
    assert_eq!(applied(&bounded).await, None);
    assert!(known(&bounded).await.starts_with("not known yet; the last lookup failed"));
    assert_eq!(applied(&bounded).await, None);
}

/// conf: P33, B4
#[tokio::test]
async fn the_lookup_authenticates_with_the_token_and_layer_interceptor_and_apply_send_the_boundary() {
    let server = TokenServer::start([boundary("0xA30")]).await;
    let bounded = bounded_by(&server);
    applied(&bounded).await;
    assert_eq!(known(&bounded).await, "0xA30");
    assert_eq!(server.heads()[0]["authorization"], "Bearer of-the-account");
    assert!(!server.heads()[0].contains_key(HEADER));

    let echo = tower::service_fn(|request: http::Request<()>| async move {
        Ok::<_, std::convert::Infallible>(http::Response::new(request.headers().clone()))
    });
    let send = |layer: gcp_iam_credentials::BearerLayer| {
        let request = http::Request::builder().header(HEADER, "0xdead").header(HEADER, "0xbeef");
        layer.layer(echo).oneshot(request.body(()).unwrap())
    };
    let headers = send(bounded.layer()).await.unwrap().into_body();
    assert_eq!(headers.get_all(HEADER).iter().collect::<Vec<_>>(), ["0xA30"]);
    let for_proxy = bounded.layer().header_name(http::header::PROXY_AUTHORIZATION);
    let headers = send(for_proxy).await.unwrap().into_body();
    assert_eq!(headers.get_all(HEADER).iter().count(), 2, "it belongs to the request's own token");
    let mut interceptor = bounded.interceptor().await.unwrap();
    let request = interceptor.call(tonic::Request::new(())).unwrap();
    assert_eq!(request.metadata().get(HEADER).unwrap(), "0xA30");

    // Another credential's token on the same request.
    let other = Credentials::fixed(Token::new("another", None).unwrap());
    let headers = send(other.layer()).await.unwrap().into_body();
    assert!(!headers.contains_key(HEADER));
    assert_eq!(server.requests(), 1);
}

/// conf: B3, B4
#[tokio::test]
async fn what_is_no_boundary_is_a_failed_lookup_and_a_redirect_is_not_followed() {
    let elsewhere = TokenServer::start([boundary("0x1")]).await;
    for answer in [
        boundary("0x1\r\nx-injected: 1"),
        boundary(""),
        Answer::body(200, "{}"),
        Answer::body(200, &"x".repeat(2_000_000)),
        Answer::status(403),
        Answer::Http(302, vec![("location", elsewhere.url())], r#"{"encodedLocations": "0x1"}"#.to_owned()),
    ] {
        let server = TokenServer::start([answer]).await;
        let bounded = bounded_by(&server);
        applied(&bounded).await;
        let state = known(&bounded).await;
        assert!(state.starts_with("not known yet; the last lookup failed: "), "{state}");
        assert!(!state.contains("of-the-account") && !state.contains('\n'), "{state}");
        for _ in 0..10 {
            assert_eq!(applied(&bounded).await, None);
        }
        assert_eq!(server.requests(), 1, "a failure has its pause");
    }
    assert_eq!(elsewhere.requests(), 0);
}

/// conf: B4
#[tokio::test]
async fn nothing_is_looked_up_in_another_universe() {
    struct Elsewhere(Account);
    impl TokenSource for Elsewhere {
        fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
            self.0.fetch(request)
        }
        fn info(&self) -> SourceInfo {
            self.0.info().with_universe_domain("apis-tpclp.goog")
        }
    }
    let server = TokenServer::start([boundary("0x1")]).await;
    let source = Credentials::from_source(Elsewhere(Account(server.url())));
    let bounded = source.with_regional_access_boundary().unwrap();
    for _ in 0..3 {
        assert_eq!(applied(&bounded).await, None);
    }
    let state = "not looked up in another universe than googleapis.com";
    assert_eq!(bounded.info().regional_access_boundary(), Some(state));
    assert_eq!(server.requests(), 0);
}
