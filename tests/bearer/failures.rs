//! Requests that get no token, and failures of the inner service.

use std::convert::Infallible;
use std::error::Error as StdError;

use gcp_iam_credentials::bearer::{BearerError, TokenError};
use gcp_iam_credentials::{Error, Token};
use http::{Request, Response, StatusCode};
use tonic::{Code, Status};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::services::{RequestCounter, fixed, replies, request};
use crate::support::log_capture::LogCapture;
use crate::support::runtime::one_thread;
use crate::support::token_source::ScriptedSource;

type BoxError = Box<dyn StdError + Send + Sync>;

/// conf: G3, M32
#[tokio::test]
async fn without_a_token_nothing_is_sent_and_the_status_discloses_nothing() {
    let denied = "PERMISSION_DENIED on robot@example.iam.gserviceaccount.com: grant roles/iam.x";
    for (cause, code) in
        [(Error::transient(denied), Code::Unavailable), (Error::permanent(denied), Code::Unauthenticated)]
    {
        let requests = RequestCounter::default();
        let service = ScriptedSource::failing(cause).credentials().layer().layer(requests.service());
        let error = service.oneshot(request()).await.unwrap_err();
        let status = Status::from(error);
        assert_eq!(requests.count(), 0);
        assert_eq!(status.code(), code);
        assert_eq!(TokenError::find_in(&status).unwrap().to_string(), denied);
        let forwarded = status.clone().into_http::<()>();
        for shown in [status.to_string(), format!("{status:?}"), format!("{:?}", forwarded.headers())] {
            assert!(
                !shown.contains("robot") && !shown.contains("iam") && !shown.contains("DENIED"),
                "{shown}"
            );
        }
    }
}

/// conf: M32
#[tokio::test]
async fn a_handler_that_uses_the_question_mark_discloses_nothing() {
    async fn asks_for_a_token(cause: Error) -> Result<Token, Status> {
        Ok(ScriptedSource::failing(cause).credentials().token().await?)
    }
    async fn calls_a_service(cause: Error) -> Result<Response<()>, Status> {
        let requests = RequestCounter::default();
        let service = ScriptedSource::failing(cause).credentials().layer().layer(requests.service());
        Ok(service.oneshot(request()).await?)
    }
    async fn asks_for_a_token_as_the_layer_does(cause: Error) -> Result<Token, BearerError<Status>> {
        Ok(ScriptedSource::failing(cause).credentials().token().await?)
    }
    let denied = "PERMISSION_DENIED on robot@example.iam.gserviceaccount.com: grant roles/iam.x";
    for (cause, code) in
        [(Error::transient(denied), Code::Unavailable), (Error::permanent(denied), Code::Unauthenticated)]
    {
        for status in [
            asks_for_a_token(cause.clone()).await.unwrap_err(),
            calls_a_service(cause.clone()).await.unwrap_err(),
            Status::from(asks_for_a_token_as_the_layer_does(cause.clone()).await.unwrap_err()),
        ] {
            assert_eq!(status.code(), code);
            assert!(status.message().starts_with("no credentials for this call"), "{status}");
            assert!(!format!("{status} {status:?}").contains("robot"), "{status:?}");
            assert_eq!(TokenError::find_in(&status).unwrap().to_string(), denied);
        }
    }
}

#[tokio::test]
async fn no_request_carries_a_token_to_plaintext_or_to_a_host_that_is_not_allowed() {
    let requests = RequestCounter::default();
    let layer = fixed("secret").layer();
    let narrow = layer.clone().allow_hosts(["*.googleapis.com"]);
    for (layer, uri) in [
        (layer.clone(), "http://pubsub.googleapis.com/"),
        (narrow.clone(), "http://pubsub.googleapis.com/"),
        (narrow.clone(), "https://evil.example/"),
        (narrow.clone().allow_plaintext(), "http://evil.example/"),
    ] {
        let service = layer.layer(requests.service());
        let error = service.oneshot(Request::get(uri).body(()).unwrap()).await.unwrap_err();
        let BearerError::Token(error) = error else { panic!("a request was sent to {uri}") };
        assert_eq!((error.code(), error.cause().field()), (Code::Unauthenticated, Some("uri")), "{uri}");
    }
    assert_eq!(requests.count(), 0);
    for (layer, uri) in [
        (layer.clone(), "https://evil.example/"),
        (layer.clone(), "http://127.0.0.1:8085/"),
        (narrow.clone(), "https://pubsub.googleapis.com/"),
        (narrow, "/google.pubsub.v1.Publisher/Publish"),
        (layer.allow_plaintext(), "http://pubsub.internal/"),
    ] {
        layer.layer(requests.service()).oneshot(Request::get(uri).body(()).unwrap()).await.unwrap();
    }
    assert_eq!(requests.count(), 5);
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_returned_unchanged() {
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

/// The inner service is not `Send`, and its bodies don't implement `http_body::Body`.
#[tokio::test]
async fn the_layer_is_generic_over_the_service_and_the_bodies() {
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
fn no_debug_output_and_no_log_shows_the_token() {
    let mut shown = String::new();
    let log = LogCapture::while_running(|| {
        one_thread().block_on(async {
            let layer = fixed("hidden-secret").layer().quota_project("p").unwrap().allow_hosts(["x"]);
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
    assert!(log.text().contains("rejected the token"), "the rejection is logged: {}", log.text());
    for text in [shown, log.text()] {
        assert!(!text.contains("hidden"), "{text}");
    }
}
