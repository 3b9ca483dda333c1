//! The W3C trace context of calls: which one is sent, and that the log has the same trace.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gcp_iam_credentials::call::TraceContext;
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{ClientBuilder, ErrorKind};
use http::{HeaderMap, HeaderName};

use crate::support::accounts::TARGET;
use crate::support::log_capture::LogCapture;
use crate::support::runtime::one_thread;
use crate::support::scripted_service::{Answer, Received, Script, builder};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const STATE: &str = "vendor=opaque,other=1";

/// Returns the `traceparent` of a span of [`TRACE_ID`].
fn parent(span: usize) -> String {
    format!("00-{TRACE_ID}-{span:016x}-01")
}

fn context(span: usize) -> TraceContext {
    TraceContext::new(parent(span)).unwrap()
}

fn sent(request: &Received) -> (Option<String>, Option<String>) {
    let header = |name| request.header(name).map(str::to_owned);
    (header("traceparent"), header("tracestate"))
}

/// Returns a builder whose provider returns a new span's context each time, and how many it returned.
fn counting() -> (ClientBuilder, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let provider = {
        let asked = Arc::clone(&asked);
        move || Some(context(asked.fetch_add(1, Ordering::SeqCst) + 1))
    };
    (builder().trace_context(provider), asked)
}

/// conf: G55
#[tokio::test]
async fn every_call_sends_the_trace_context_that_it_was_given() {
    let script = Script::default();
    let client = script.client();
    let given = context(7).with_tracestate(STATE).unwrap();
    client.generate_access_token(TARGET, ["email"]).trace_context(given.clone()).await.unwrap();
    client.generate_id_token(TARGET, "aud").trace_context(given.clone()).await.unwrap();
    client.sign_blob(TARGET, "").trace_context(given.clone()).await.unwrap();
    client.sign_jwt(TARGET, &serde_json::json!({})).trace_context(given).await.unwrap();
    assert_eq!(script.calls(), 4);
    for request in script.received() {
        assert_eq!(sent(&request), (Some(parent(7)), Some(STATE.to_owned())));
    }
}

/// conf: G55
#[tokio::test]
async fn a_call_without_a_trace_sends_neither_header() {
    let script = Script::default();
    script.client().sign_blob(TARGET, "").await.unwrap();
    script.client_with(builder().trace_context(|| None)).sign_blob(TARGET, "").await.unwrap();
    let call = script.client_with(counting().0).sign_blob(TARGET, "");
    call.trace_context(None).await.unwrap();
    for request in script.received() {
        assert_eq!(sent(&request), (None, None));
    }
}

/// conf: G55
#[tokio::test(start_paused = true)]
async fn the_provider_is_asked_once_for_all_attempts_of_a_call() {
    let script = Script::new([Answer::unavailable(), Answer::unavailable()]);
    let (builder, asked) = counting();
    let client = script.client_with(builder);
    let call = client.sign_blob(TARGET, "");
    assert_eq!(asked.load(Ordering::SeqCst), 0, "a call begins when it is awaited");
    call.clone().await.unwrap();
    let parents: Vec<_> = script.received().iter().map(|request| sent(request).0.unwrap()).collect();
    assert_eq!(parents, [parent(1), parent(1), parent(1)]);
    call.await.unwrap();
    assert_eq!(sent(&script.received()[3]).0, Some(parent(2)));
    client.sign_blob(TARGET, "").trace_context(context(9)).await.unwrap();
    assert_eq!(sent(&script.received()[4]).0, Some(parent(9)));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// conf: G55
#[tokio::test]
async fn a_client_for_other_credentials_has_the_same_provider() {
    let script = Script::default();
    let client = script.client_with(counting().0);
    let other = client.with_credentials(client.credentials().clone()).unwrap();
    other.sign_blob(TARGET, "").await.unwrap();
    assert_eq!(sent(&script.only_request()).0, Some(parent(1)));
}

#[tokio::test]
async fn a_provider_that_panics_loses_no_call() {
    let script = Script::default();
    let client = script.client_with(builder().trace_context(|| panic!("no context")));
    client.sign_blob(TARGET, "").await.unwrap();
    assert_eq!(sent(&script.only_request()), (None, None));
    let acting = client.impersonate(TARGET).access_token([CLOUD_PLATFORM]).unwrap();
    acting.token().await.unwrap();
}

#[tokio::test]
async fn invalid_headers_of_a_caller_cost_only_themselves() {
    let headers = |parent: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", parent.parse().unwrap());
        headers.insert("tracestate", "not a list".parse().unwrap());
        headers
    };
    for (parent, expected) in [(parent(3), Some(parent(3))), (parent(0), None)] {
        let script = Script::default();
        let headers = headers(&parent);
        let client =
            script.client_with(builder().trace_context(move || TraceContext::from_headers(&headers)));
        client.sign_blob(TARGET, "").await.unwrap();
        assert_eq!(sent(&script.only_request()), (expected, None));
    }
}

/// A fetch has many callers, so it isn't part of the trace of one.
#[tokio::test]
async fn a_fetch_of_credentials_asks_the_provider_in_its_own_task() {
    tokio::task_local! {
        static SERVED: TraceContext;
    }
    let provider = || SERVED.try_with(TraceContext::clone).ok();
    let script = Script::default();
    let client = script.client_with(builder().trace_context(provider));
    let acting = client.impersonate(TARGET).access_token([CLOUD_PLATFORM]).unwrap();
    SERVED.scope(context(5), acting.token()).await.unwrap();
    SERVED.scope(context(5), client.sign_blob(TARGET, "").into_future()).await.unwrap();
    let parents: Vec<_> = script.received().iter().map(|request| sent(request).0).collect();
    assert_eq!(parents, [None, Some(parent(5))]);

    let script = Script::default();
    let client = script.client_with(counting().0);
    client.impersonate(TARGET).access_token([CLOUD_PLATFORM]).unwrap().token().await.unwrap();
    assert_eq!(sent(&script.only_request()).0, Some(parent(1)));
}

#[tokio::test]
async fn the_headers_cannot_be_set_as_metadata() {
    for key in ["traceparent", "TraceState"] {
        let script = Script::default();
        let call = script.client().sign_blob(TARGET, "").metadata(key, parent(1));
        let error = call.trace_context(context(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.hint().unwrap().contains("`trace_context`"), "{error}");
        assert!(key.parse::<HeaderName>().is_ok() && script.calls() == 0);
    }
}

/// conf: G56
#[test]
fn the_span_of_a_call_and_its_events_have_the_trace_that_is_sent() {
    let script = Script::new([Answer::unavailable()]);
    let log = LogCapture::while_running(|| {
        let client = script.client_with(counting().0);
        one_thread().block_on(client.sign_blob(TARGET, "").into_future()).unwrap();
    });
    let trace_id = sent(&script.received()[1]).0.unwrap()[3..35].to_owned();
    let text = log.text();
    for event in ["attempt failed", "next attempt", "attempt succeeded"] {
        let line =
            text.lines().find(|line| line.contains(event)).unwrap_or_else(|| panic!("{event}: {text}"));
        let span = line.split("iam_credentials_call{").nth(1).and_then(|rest| rest.split('}').next());
        assert!(span.unwrap().contains(&format!("trace_id=\"{trace_id}\"")), "{line}");
    }
    assert!(
        !LogCapture::while_running(|| {
            one_thread().block_on(Script::default().client().sign_blob(TARGET, "").into_future()).unwrap();
        })
        .text()
        .contains("trace_id")
    );
}

/// The provider finds the call's span, so a span of the service can be its child.
#[test]
fn the_provider_is_asked_inside_the_span_of_the_call() {
    let script = Script::default();
    let provider = || {
        let span = tracing::Span::current();
        assert_eq!(span.metadata().map(|span| span.name()), Some("iam_credentials_call"));
        Some(context(1))
    };
    LogCapture::while_running(|| {
        let client = script.client_with(builder().trace_context(provider));
        one_thread().block_on(client.sign_blob(TARGET, "").into_future()).unwrap();
    });
    assert_eq!(sent(&script.only_request()).0, Some(parent(1)));
}
