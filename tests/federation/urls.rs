//! What becomes of each kind of reply of a URL with subject tokens.

use std::time::Duration;

use gcp_iam_credentials::{Credentials, Error};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::closed_port::ClosedPort;
use crate::support::federation::{AUDIENCE, JWT};
use crate::support::log_capture::LogCapture;
use crate::support::runtime::one_thread;
use crate::support::token_server::{Answer, TokenServer};

fn credentials(url: &str, format: &Value) -> Credentials {
    let file = json!({
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": JWT,
        "token_url": "http://127.0.0.1:1/v1/token",
        "credential_source": {"url": url, "headers": {"Authorization": "Bearer hidden"}, "format": format},
    });
    Credentials::from_json(&file.to_string()).unwrap()
}

async fn failure(answer: Answer, format: Value) -> (Error, usize) {
    let server = TokenServer::start([answer]).await;
    let error = credentials(&server.url(), &format).token().await.unwrap_err();
    assert_eq!(server.heads()[0]["authorization"], "Bearer hidden");
    (error, server.requests())
}

/// conf: F2
#[test]
fn each_kind_of_bad_reply_is_an_error_without_its_content() {
    let text = || json!({"type": "text"});
    let in_json = || json!({"type": "json", "subject_token_field_name": "value"});
    let long = format!(r#"{{"value": "hidden{}"}}"#, "x".repeat(1 << 20));
    let redirection =
        Answer::Http(302, vec![("location", "http://127.0.0.1:1/hidden".to_owned())], String::new());
    for (answer, format, problem, requests) in [
        (Answer::body(404, "hidden"), text(), "404", 1),
        (Answer::body(403, "<html>hidden"), text(), "HTML", 1),
        (redirection, text(), "not followed", 1),
        (Answer::body(204, ""), text(), "204", 1),
        (Answer::body(200, ""), text(), "is empty", 1),
        (Answer::body(200, "<!doctype html>hidden"), text(), "HTML", 1),
        (Answer::body(200, &long), text(), "131072 bytes", 1),
        (Answer::body(200, "<html>hidden"), in_json(), "HTML", 1),
        (Answer::body(200, "hidden"), in_json(), "not JSON", 1),
        (Answer::body(200, r#"{"value":"hidd"#), in_json(), "not JSON", 1),
        (Answer::body(200, r#"{"value":"hidden","value":"hidden"}"#), in_json(), "exactly one", 1),
        (Answer::body(200, r#"{"token":"hidden"}"#), in_json(), "no field \"value\"", 1),
        (Answer::body(200, &long), in_json(), "131072 bytes", 1),
        (Answer::body(500, "hidden"), text(), "500", 3),
        (Answer::body(429, "hidden"), text(), "429", 3),
        (Answer::Break, text(), "127.0.0.1", 3),
    ] {
        let mut outcome = None;
        let log = LogCapture::while_running(|| {
            outcome = Some(one_thread().block_on(failure(answer, format)));
        });
        let (error, sent) = outcome.unwrap();
        let text = format!("{error} {error:?} {}", log.text());
        assert!(error.to_string().contains(problem), "{problem}: {text}");
        assert!(error.to_string().contains("credential_source.url"), "{text}");
        assert!(!text.contains("hid"), "{text}");
        assert_eq!((error.is_transient(), sent), (requests == 3, requests), "{text}");
    }
}

/// conf: F2
#[tokio::test]
async fn a_url_that_cannot_be_reached_is_a_transient_error() {
    let closed = ClosedPort::new();
    let url = format!("http://{}/token", closed.address());
    let error = credentials(&url, &json!({})).token().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("127.0.0.1"), "{error:?}");
}

/// conf: F2
#[tokio::test(start_paused = true)]
async fn a_url_that_accepts_and_never_answers_is_given_up_after_three_attempts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let start = tokio::time::Instant::now();
    let error = credentials(&url, &json!({})).token().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("no reply within"), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());
    drop(listener);
}
