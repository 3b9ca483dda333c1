//! The layer around services in memory.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gcp_iam_credentials::{BearerError, BearerLayer, Credentials, Error, NoToken, Token};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, header};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
use tower::{Layer, Service, ServiceExt, service_fn};

type BoxError = Box<dyn StdError + Send + Sync>;

const QUOTA_PROJECT: &str = "x-goog-user-project";

/// Credentials whose tokens are `token-1`, `token-2` and so on, and the number of fetches.
fn counted() -> (Credentials, Arc<AtomicUsize>) {
    let (credentials, fetches, gate) = gated();
    gate.add_permits(Semaphore::MAX_PERMITS);
    (credentials, fetches)
}

/// As [`counted`], where each fetch waits for a permit.
fn gated() -> (Credentials, Arc<AtomicUsize>, Arc<Semaphore>) {
    let fetches = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Semaphore::new(0));
    let state = (Arc::clone(&fetches), Arc::clone(&gate));
    let credentials = Credentials::from_fn(move || {
        let (fetches, gate) = state.clone();
        async move {
            let number = fetches.fetch_add(1, Ordering::SeqCst) + 1;
            gate.acquire_owned().await.unwrap().forget();
            Token::new(format!("token-{number}"), None)
        }
    });
    (credentials, fetches, gate)
}

fn fixed(secret: &str) -> Credentials {
    Credentials::fixed(Token::new(secret, None).unwrap())
}

fn failing(error: Error) -> Credentials {
    Credentials::from_fn(move || std::future::ready(Err(error.clone())))
}

/// Replies with the headers that the request came with.
fn echo()
-> impl Service<Request<()>, Response = Response<HeaderMap>, Error = Infallible, Future: Send> + Clone + Send
{
    service_fn(|request: Request<()>| async move { Ok(Response::new(request.headers().clone())) })
}

/// Replies with this, to any request.
fn replies(
    status: StatusCode,
    grpc_status: Option<&'static str>,
) -> impl Service<Request<()>, Response = Response<()>, Error = Infallible> + Clone {
    service_fn(move |_: Request<()>| async move {
        let mut reply = Response::builder().status(status);
        if let Some(code) = grpc_status {
            reply = reply.header("grpc-status", code);
        }
        Ok(reply.body(()).unwrap())
    })
}

/// Counts the requests that reach it.
fn counting(
    requests: &Arc<AtomicUsize>,
) -> impl Service<Request<()>, Response = Response<()>, Error = Infallible> + Clone + use<> {
    let requests = Arc::clone(requests);
    service_fn(move |_: Request<()>| {
        requests.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(Response::new(())))
    })
}

fn request() -> Request<()> {
    Request::new(())
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

/// The headers that a request arrives with.
async fn sent(layer: BearerLayer, request: Request<()>) -> HeaderMap {
    layer.layer(echo()).oneshot(request).await.unwrap().into_body()
}

/// conf: P31, G84
#[tokio::test]
async fn a_request_carries_the_token_marked_sensitive() {
    let layer = fixed("ya29.secret").layer();
    let headers = sent(layer.clone(), request()).await;
    assert_eq!(values(&headers, "authorization"), ["Bearer ya29.secret"]);
    assert!(headers[header::AUTHORIZATION].is_sensitive(), "the value came by the slow path");

    let mut service = layer.layer(echo());
    for _ in 0..2 {
        let headers = service.ready().await.unwrap().call(request()).await.unwrap().into_body();
        assert_eq!(values(&headers, "authorization"), ["Bearer ya29.secret"]);
        assert!(headers[header::AUTHORIZATION].is_sensitive(), "the value came by the fast path");
    }
}

/// conf: M23, R12
#[tokio::test]
async fn what_the_caller_put_into_the_header_is_replaced() {
    let credentials = fixed("ours");
    for name in ["authorization", "x-serverless-authorization"] {
        let layer = credentials.layer().header_name(HeaderName::from_static(name));
        for path in ["slow", "fast"] {
            let request =
                Request::builder().header(name, "Bearer theirs").header(name, "Basic more").body(()).unwrap();
            let headers = sent(layer.clone(), request).await;
            assert_eq!(values(&headers, name), ["Bearer ours"], "{path} path");
        }
    }
}

#[tokio::test]
async fn another_header_leaves_authorization_to_the_application() {
    let layer = fixed("for-the-proxy").layer().header_name(header::PROXY_AUTHORIZATION);
    let request = Request::builder().header("authorization", "Bearer for-the-app").body(()).unwrap();
    let headers = sent(layer, request).await;
    assert_eq!(values(&headers, "proxy-authorization"), ["Bearer for-the-proxy"]);
    assert_eq!(values(&headers, "authorization"), ["Bearer for-the-app"]);
}

mod quota_project {
    use gcp_iam_credentials::{BoxFuture, FetchRequest, SourceInfo, TokenSource};

    use super::*;

    struct Billed;

    impl TokenSource for Billed {
        fn fetch<'a>(&'a self, _: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
            Box::pin(async { Token::new("secret", None) })
        }

        fn info(&self) -> SourceInfo {
            SourceInfo::new().quota_project("of-the-credentials")
        }
    }

    fn request_names(project: &str) -> Request<()> {
        Request::builder().header(QUOTA_PROJECT, project).body(()).unwrap()
    }

    /// conf: P32
    #[tokio::test]
    async fn none_is_sent_where_none_is_set() {
        let headers = sent(fixed("secret").layer(), request()).await;
        assert!(!headers.contains_key(QUOTA_PROJECT), "{headers:?}");
    }

    /// conf: P32, G1
    #[tokio::test]
    async fn the_credentials_own_goes_with_the_token() {
        let headers = sent(Credentials::from_source(Billed).layer(), request()).await;
        assert_eq!(values(&headers, QUOTA_PROJECT), ["of-the-credentials"]);
        assert_eq!(values(&headers, "authorization"), ["Bearer secret"]);
    }

    /// conf: G12
    #[tokio::test]
    async fn a_requests_own_or_the_layers_hides_the_credentials() {
        let layer = Credentials::from_source(Billed).layer();
        let headers = sent(layer.clone(), request_names("of-the-request")).await;
        assert_eq!(values(&headers, QUOTA_PROJECT), ["of-the-request"]);
        let headers = sent(layer.clone().quota_project("of-the-layer"), request()).await;
        assert_eq!(values(&headers, QUOTA_PROJECT), ["of-the-layer"]);
        let headers = sent(layer.quota_project("of-the-layer"), request_names("of-the-request")).await;
        assert_eq!(values(&headers, QUOTA_PROJECT), ["of-the-layer"]);
    }

    #[tokio::test]
    async fn one_that_cannot_be_sent_fails_every_request() {
        let requests = Arc::new(AtomicUsize::new(0));
        for project in ["", "line\nbreak"] {
            let service = fixed("secret").layer().quota_project(project).layer(counting(&requests));
            let Err(BearerError::NoToken(error)) = service.oneshot(request()).await else {
                panic!("{project:?} was sent");
            };
            assert_eq!(error.cause().field(), Some("quota_project"));
        }
        assert_eq!(requests.load(Ordering::SeqCst), 0);
    }
}

/// conf: M24
#[tokio::test]
async fn callers_that_wait_for_a_token_hold_no_slot_of_the_service() {
    let (credentials, fetches, gate) = gated();
    let service = credentials.layer().layer(ConcurrencyLimitLayer::new(1).layer(echo()));
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut service = service.clone();
        let ready = tokio::time::timeout(Duration::from_secs(5), service.ready());
        let reply = ready.await.expect("a waiting caller keeps the only slot").unwrap().call(request());
        // The service stays alive beside the call, as a client keeps its channel.
        waiting.push((service, tokio::spawn(reply)));
    }
    tokio::task::yield_now().await;
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
    gate.add_permits(1);
    for (_service, reply) in waiting {
        let reply = tokio::time::timeout(Duration::from_secs(5), reply).await;
        let headers = reply.expect("the callers block each other").unwrap().unwrap().into_body();
        assert_eq!(values(&headers, "authorization"), ["Bearer token-1"]);
    }
}

#[tokio::test]
async fn a_request_waits_for_its_token_and_is_sent_once() {
    let (credentials, fetches, gate) = gated();
    let requests = Arc::new(AtomicUsize::new(0));
    let mut service = credentials.layer().layer(counting(&requests));
    let mut reply = by_hand(service.ready().await.unwrap().call(request()));
    assert!(reply.poll().is_pending());
    tokio::task::yield_now().await;
    assert_eq!((fetches.load(Ordering::SeqCst), requests.load(Ordering::SeqCst)), (1, 0));
    gate.add_permits(1);
    reply.future.await.unwrap();
    assert_eq!((fetches.load(Ordering::SeqCst), requests.load(Ordering::SeqCst)), (1, 1));
}

/// A future to poll by hand.
struct ByHand<F> {
    future: std::pin::Pin<Box<F>>,
}

fn by_hand<F: Future>(future: F) -> ByHand<F> {
    ByHand { future: Box::pin(future) }
}

impl<F: Future> ByHand<F> {
    fn poll(&mut self) -> std::task::Poll<F::Output> {
        self.future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}

/// conf: M11
#[tokio::test]
async fn a_caller_leaves_at_its_own_deadline_and_the_others_get_the_token() {
    let (credentials, fetches, gate) = gated();
    let service = credentials.layer().layer(echo());
    let hasty = Request::builder().header("grpc-timeout", "100m").body(()).unwrap();
    let start = Instant::now();
    // It is the one that began the fetch.
    let hasty = tokio::spawn(service.clone().oneshot(hasty));
    tokio::task::yield_now().await;
    let patient = tokio::spawn(service.oneshot(request()));
    let error = hasty.await.unwrap().unwrap_err();
    let waited = start.elapsed();
    assert!((Duration::from_millis(100)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
    assert_eq!(Status::from(error).code(), Code::Unavailable);

    gate.add_permits(1);
    let headers = patient.await.unwrap().unwrap().into_body();
    assert_eq!(values(&headers, "authorization"), ["Bearer token-1"]);
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_deadline_holds_while_the_service_is_not_ready() {
    let slot = Arc::new(Semaphore::new(1));
    let busy = GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(&slot)).layer(echo());
    let (credentials, _, gate) = gated();
    let mut service = credentials.layer().layer(busy);
    let hasty = Request::builder().header("grpc-timeout", "100m").body(()).unwrap();
    let reply = service.ready().await.unwrap().call(hasty);
    let _taken = slot.acquire().await.unwrap();
    gate.add_permits(1);
    let outcome =
        tokio::time::timeout(Duration::from_secs(5), reply).await.expect("the deadline is forgotten");
    assert!(matches!(outcome, Err(BearerError::NoToken(_))));
}

/// conf: M11
#[tokio::test]
async fn the_time_spent_waiting_is_taken_off_grpc_timeout() {
    let (credentials, _, gate) = gated();
    let service = credentials.layer().layer(echo());
    let timed = || Request::builder().header("grpc-timeout", "60S").body(()).unwrap();
    let waiting = tokio::spawn(service.clone().oneshot(timed()));
    tokio::time::sleep(Duration::from_millis(50)).await;
    gate.add_permits(1);
    let headers = waiting.await.unwrap().unwrap().into_body();
    let left = values(&headers, "grpc-timeout");
    let [micros] = left[..] else { panic!("one grpc-timeout, not {left:?}") };
    let micros: u64 = micros.strip_suffix('u').unwrap().parse().unwrap();
    assert!((30_000_000..=59_950_000).contains(&micros), "{micros} µs of 60 s are left");

    let headers = service.oneshot(timed()).await.unwrap().into_body();
    assert_eq!(values(&headers, "grpc-timeout"), ["60S"], "a request that did not wait keeps its time");
}

mod a_refused_token {
    use super::*;

    async fn fetches_after(
        reply: (StatusCode, Option<&'static str>),
        layer: fn(&Credentials) -> BearerLayer,
    ) -> usize {
        let (credentials, fetches) = counted();
        let service = layer(&credentials).layer(replies(reply.0, reply.1));
        for _ in 0..2 {
            let response = service.clone().oneshot(request()).await.unwrap();
            assert_eq!(response.status(), reply.0, "the reply is handed on as it is");
        }
        fetches.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn is_fetched_anew_for_the_next_request() {
        for refusal in [
            (StatusCode::OK, Some("16")),
            (StatusCode::UNAUTHORIZED, None),
            (StatusCode::UNAUTHORIZED, Some("16")),
        ] {
            assert_eq!(fetches_after(refusal, Credentials::layer).await, 2, "{refusal:?}");
        }
    }

    /// conf: M14
    #[tokio::test]
    async fn leaves_the_next_token_alone_when_its_refusal_comes_late() {
        let (credentials, fetches) = counted();
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
        assert_eq!(fetches.load(Ordering::SeqCst), 2);
    }

    /// conf: M14
    #[tokio::test]
    async fn is_not_what_other_replies_mean() {
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
    async fn of_a_proxy_is_told_by_407() {
        let layer = |credentials: &Credentials| credentials.layer().header_name(header::PROXY_AUTHORIZATION);
        assert_eq!(fetches_after((StatusCode::PROXY_AUTHENTICATION_REQUIRED, None), layer).await, 2);
    }

    /// conf: M14
    #[tokio::test]
    async fn is_refreshed_once_for_a_burst_of_refusals() {
        let (credentials, fetches) = counted();
        credentials.token().await.unwrap();
        let (arrivals, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let target = (Arc::clone(&arrivals), Arc::clone(&gate));
        // Refuses the first token alone.
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
        // Half of the refusals come before there is a new token, and half after.
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
        assert_eq!(fetches.load(Ordering::SeqCst), 2);
    }
}

/// conf: M31
#[tokio::test(start_paused = true)]
async fn an_api_that_refuses_every_token_for_an_hour_costs_two_refreshes_a_minute() {
    let (credentials, fetches) = counted();
    let service = credentials.layer().layer(replies(StatusCode::OK, Some("16")));
    for _ in 0..3600 {
        service.clone().oneshot(request()).await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let fetches = fetches.load(Ordering::SeqCst);
    assert!((100..=121).contains(&fetches), "{fetches} fetches in an hour");
}

mod without_a_token {
    use super::*;

    /// conf: G3, M32
    #[tokio::test]
    async fn nothing_is_sent_and_the_status_is_fit_for_strangers() {
        let denied = "PERMISSION_DENIED on robot@example.iam.gserviceaccount.com: grant roles/iam.x";
        for (cause, code) in
            [(Error::transient(denied), Code::Unavailable), (Error::permanent(denied), Code::Unauthenticated)]
        {
            let requests = Arc::new(AtomicUsize::new(0));
            let service = failing(cause).layer().layer(counting(&requests));
            let error = service.oneshot(request()).await.unwrap_err();
            let status = Status::from(error);
            assert_eq!(requests.load(Ordering::SeqCst), 0);
            assert_eq!(status.code(), code);
            assert_eq!(NoToken::find_in(&status).unwrap().to_string(), denied);
            let forwarded = status.clone().into_http::<()>();
            for shown in [status.to_string(), format!("{status:?}"), format!("{:?}", forwarded.headers())] {
                assert!(
                    !shown.contains("robot") && !shown.contains("iam") && !shown.contains("DENIED"),
                    "{shown}"
                );
            }
        }
    }

    #[tokio::test]
    async fn goes_what_would_carry_it_to_the_wrong_place() {
        let requests = Arc::new(AtomicUsize::new(0));
        let layer = fixed("secret").layer();
        let narrow = layer.clone().allow_hosts(["*.googleapis.com"]);
        for (layer, uri) in [
            (layer.clone(), "http://pubsub.googleapis.com/"),
            (narrow.clone(), "http://pubsub.googleapis.com/"),
            (narrow.clone(), "https://evil.example/"),
            (narrow.clone().allow_plaintext(), "http://evil.example/"),
        ] {
            let service = layer.layer(counting(&requests));
            let error = service.oneshot(Request::get(uri).body(()).unwrap()).await.unwrap_err();
            let BearerError::NoToken(error) = error else { panic!("{uri} was asked") };
            assert_eq!((error.code(), error.cause().field()), (Code::Unauthenticated, Some("uri")), "{uri}");
        }
        assert_eq!(requests.load(Ordering::SeqCst), 0);
        for (layer, uri) in [
            (layer.clone(), "https://evil.example/"),
            (layer.clone(), "http://127.0.0.1:8085/"),
            (narrow.clone(), "https://pubsub.googleapis.com/"),
            (narrow, "/google.pubsub.v1.Publisher/Publish"),
            (layer.allow_plaintext(), "http://pubsub.internal/"),
        ] {
            layer.layer(counting(&requests)).oneshot(Request::get(uri).body(()).unwrap()).await.unwrap();
        }
        assert_eq!(requests.load(Ordering::SeqCst), 5);
    }
}

#[tokio::test]
async fn an_error_of_the_service_comes_out_as_it_went_in() {
    let credentials = fixed("secret");
    let fails =
        service_fn(|_: Request<()>| async { Err::<Response<()>, _>(Status::aborted("lost the race")) });
    for path in ["slow", "fast"] {
        let error = credentials.layer().layer(fails).oneshot(request()).await.unwrap_err();
        assert!(
            matches!(&error, BearerError::Inner(status) if status.code() == Code::Aborted),
            "{path} path"
        );
        assert!(BoxError::from(error).is::<Status>());
    }
}

/// An inner service that may not leave its thread, over bodies that are no bodies.
#[tokio::test]
async fn the_service_and_the_bodies_may_be_anything() {
    let local = std::rc::Rc::new(std::cell::Cell::new(0));
    let seen = std::rc::Rc::clone(&local);
    let service = service_fn(move |request: Request<&'static str>| {
        seen.set(request.body().len());
        async { Ok::<_, Infallible>(Response::new(vec![1, 2, 3])) }
    });
    let reply = fixed("secret").layer().layer(service).oneshot(Request::new("seven c")).await.unwrap();
    assert_eq!((local.get(), reply.into_body()), (7, vec![1, 2, 3]));
}

/// conf: M18, R13
#[test]
fn no_debug_output_and_no_trace_shows_the_token() {
    use std::io::Write;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let mut shown = String::new();
    tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let layer = fixed("hidden-secret").layer().quota_project("p").allow_hosts(["x"]);
            let mut service = layer.layer(replies(StatusCode::UNAUTHORIZED, None));
            for _ in 0..2 {
                let reply = service.ready().await.unwrap().call(request());
                shown += &format!("{layer:?} {service:?} {reply:?}", service = layer.layer(()));
                reply.await.unwrap();
            }
            let refused = Request::get("https://hidden.example/hidden?hidden=hidden").body(()).unwrap();
            let error = layer.layer(replies(StatusCode::OK, None)).oneshot(refused).await.unwrap_err();
            shown += &format!("{error} {error:?}");
            shown += &Status::from(error).to_string();
        });
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("refused the token"), "the refusal is traced: {log}");
    for text in [shown, log] {
        assert!(!text.contains("hidden"), "{text}");
    }
}
