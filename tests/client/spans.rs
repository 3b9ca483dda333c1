//! The span of a call.

use std::thread;

use gcp_iam_credentials::{Credentials, IamCredentialsClient, Token};
use tonic::Code;
use tonic_types::ErrorDetails;

use crate::support::accounts::TARGET;
use crate::support::runtime::{one_paused_thread, poll_once};
use crate::support::scripted_service::{Answer, Script, builder};
use crate::support::span_capture::{Fields, SpanCapture};

/// Returns the fields of the spans of calls.
fn spans_of(calls: impl AsyncFnOnce()) -> Vec<Fields> {
    SpanCapture::while_running("iam_credentials_call", || one_paused_thread().block_on(calls()))
}

fn fields<const N: usize>(fields: [(&'static str, &str); N]) -> Fields {
    fields.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

/// conf: G50, G54
#[test]
fn the_span_of_a_successful_call_has_these_fields_and_no_others() {
    let spans = spans_of(async || {
        let client = Script::new([Answer::unavailable()]).client();
        client.sign_blob(TARGET, "bytes").await.unwrap();
    });
    let expected = fields([
        ("operation", "sign_blob"),
        ("account", TARGET),
        ("endpoint", "http://127.0.0.1:1/"),
        ("requests", "2"),
        ("code", "OK"),
    ]);
    assert_eq!(spans, [expected]);
}

/// conf: G52
#[test]
fn the_span_of_a_refused_call_has_the_code_and_the_reason() {
    let details = ErrorDetails::with_error_info("IAM_PERMISSION_DENIED", "iam.googleapis.com", []);
    let spans = spans_of(async || {
        let client = Script::new([
            Answer::status(Code::Unimplemented, "no such method"),
            Answer::details(Code::PermissionDenied, "no", details),
        ])
        .client();
        client.sign_blob(TARGET, "bytes").await.unwrap_err();
        client.sign_jwt(TARGET, &serde_json::json!({})).await.unwrap_err();
    });
    let outcomes: Vec<_> = spans.iter().map(|span| (span["code"].as_str(), span.get("reason"))).collect();
    let reason = "IAM_PERMISSION_DENIED".to_owned();
    assert_eq!(outcomes, [("UNIMPLEMENTED", None), ("PERMISSION_DENIED", Some(&reason))]);
    assert_eq!(spans[0]["requests"], "1");
}

/// conf: G51
#[test]
fn the_span_of_a_call_names_the_endpoint_that_it_goes_to() {
    let source = || Credentials::fixed(Token::new("source", None).unwrap());
    for (client, endpoint) in [
        (IamCredentialsClient::builder().credentials(source()), "https://iamcredentials.googleapis.com/"),
        (
            IamCredentialsClient::builder()
                .credentials(source())
                .endpoint("https://iamcredentials.europe-west1.rep.googleapis.com"),
            "https://iamcredentials.europe-west1.rep.googleapis.com/",
        ),
        (builder().endpoint("https://iam.internal.example:8443"), "https://iam.internal.example:8443/"),
    ] {
        let spans = spans_of(async || {
            let client = client.build_with(Script::default().service()).unwrap();
            client.sign_blob(TARGET, "bytes").await.unwrap();
        });
        assert_eq!(spans[0]["endpoint"], endpoint);
    }
}

#[test]
fn the_span_of_a_dropped_call_has_no_code() {
    let spans = spans_of(async || {
        let client = Script::always(Answer::Hang).client();
        assert!(poll_once(client.sign_blob(TARGET, "bytes").into_future()).is_pending());
    });
    assert_eq!(spans[0].keys().copied().collect::<Vec<_>>(), ["account", "endpoint", "operation"]);
}

/// The captures of these tests miss nothing.
#[test]
fn a_span_that_another_thread_traces_first_is_captured() {
    let span = || drop(tracing::info_span!("traced_by_two_threads"));
    let spans = SpanCapture::while_running("traced_by_two_threads", || {
        thread::spawn(span).join().unwrap();
        span();
    });
    assert_eq!(spans.len(), 1);
}
