//! Outages, lost connections and revoked tokens with many calls in flight. The clock is paused and
//! the service is in memory, except where a connection breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gcp_iam_credentials::source::BoxFuture;
use gcp_iam_credentials::{Error, ErrorKind, IamCredentialsClient, RetryPolicy, Token};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::Code;
use tonic::body::Body;

use crate::support::accounts::TARGET;
use crate::support::closed_port::ClosedPort;
use crate::support::runtime::{ms, until};
use crate::support::scripted_service::{Answer, Script, builder};
use crate::support::server::{Server, two_listeners};
use crate::support::token_source::{Outcome, ScriptedSource};

const MANY: usize = 500;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Lets the service answer UNAVAILABLE for this long.
fn outage(length: Duration) -> Script {
    let script = Script::always(Answer::unavailable().after(ms(20)));
    let service = script.clone();
    tokio::spawn(async move {
        sleep(length).await;
        service.answer_from_now(Answer::Ok.after(ms(20)));
    });
    script
}

/// Returns a service that loses this many requests together with their connections, and then answers.
fn losing(
    script: Script,
    losses: usize,
) -> impl tower::Service<
    http::Request<Body>,
    Response = http::Response<Body>,
    Error = BoxError,
    Future = BoxFuture<'static, Result<http::Response<Body>, BoxError>>,
> + Clone
+ Send
+ Sync
+ 'static {
    let left = Arc::new(AtomicUsize::new(losses));
    tower::service_fn(move |request| {
        let script = script.clone();
        let before = |left: usize| left.checked_sub(1);
        let lost = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, before).is_ok();
        Box::pin(async move {
            match lost {
                true => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()),
                false => Ok(script.handle(request).await?),
            }
        }) as BoxFuture<'static, Result<http::Response<Body>, BoxError>>
    })
}

/// Makes many calls at once. Returns the failures.
async fn many_calls(client: &IamCredentialsClient) -> Vec<Error> {
    let mut calls = JoinSet::new();
    for _ in 0..MANY {
        calls.spawn(client.sign_blob(TARGET, "bytes").into_future());
    }
    calls.join_all().await.into_iter().filter_map(Result::err).collect()
}

/// conf: A23
#[tokio::test(start_paused = true)]
async fn a_call_that_begins_in_an_outage_of_up_to_thirty_seconds_succeeds() {
    for length in [1, 3, 10, 30, 50] {
        for _ in 0..20 {
            let script = outage(seconds(length));
            let start = Instant::now();
            script.client().sign_blob(TARGET, "bytes").await.unwrap();
            assert!(start.elapsed() >= seconds(length));
            assert!(script.calls() < 60, "{} attempts in {length} s", script.calls());
        }
    }
}

/// conf: A23
#[tokio::test(start_paused = true)]
async fn many_calls_that_begin_in_an_outage_succeed_and_cause_no_storm() {
    for length in [3, 10, 30, 50] {
        let script = outage(seconds(length));
        let client = script.client();
        let calls = tokio::spawn(async move { many_calls(&client).await });
        sleep(seconds(length)).await;
        let during = script.calls() - MANY;
        let allowed = 100 + 10 * length as usize;
        assert!(during <= allowed, "{during} retries in an outage of {length} s");
        let failures = calls.await.unwrap();
        assert!(failures.is_empty(), "{} of {MANY} calls failed: {}", failures.len(), failures[0]);
    }
}

/// conf: A23, G25
#[tokio::test(start_paused = true)]
async fn a_call_that_never_succeeds_ends_by_its_timeout_with_the_last_error() {
    let script = Script::always(Answer::unavailable());
    let start = Instant::now();
    let error = script.client().sign_blob(TARGET, "bytes").await.unwrap_err();
    assert!((59.0..60.001).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
    assert_eq!(error.service().map(|service| service.code()), Some(Code::Unavailable), "{error:#}");
    assert_eq!(error.attempts() as usize, script.calls());
    assert!(error.to_string().contains("attempts)"), "{error}");
}

/// conf: A8
#[tokio::test]
async fn no_call_fails_if_the_connection_of_many_calls_breaks_once() {
    let script = Script::always(Answer::Hang);
    let (listener, second_listener) = two_listeners();
    let server = Server::start(script.clone(), listener);
    let client = server.client();
    let calls = tokio::spawn(async move { many_calls(&client).await });
    // A server of hyper takes 200 requests at a time.
    until("the calls", || script.calls() >= 200).await;
    script.answer_from_now(Answer::Ok);
    server.stop();
    let restarted = Server::start(script, second_listener);
    let failures = calls.await.unwrap();
    assert!(failures.is_empty(), "{} of {MANY} calls failed: {}", failures.len(), failures[0]);
    assert_eq!(restarted.connections(), 1);
}

/// conf: A8
#[tokio::test(start_paused = true)]
async fn no_call_fails_if_the_source_token_of_many_calls_is_revoked() {
    let rejection = Answer::status(Code::Unauthenticated, "revoked").after(ms(50));
    let script = Script::new(vec![rejection; MANY]);
    let source = ScriptedSource::tokens(["revoked", "fresh"]);
    let client = script.client_with(builder().credentials(source.credentials()));
    let start = Instant::now();
    let failures = many_calls(&client).await;
    assert!(failures.is_empty(), "{} of {MANY} calls failed: {}", failures.len(), failures[0]);
    assert_eq!((script.calls(), source.fetches()), (2 * MANY, 2));
    assert!(start.elapsed() < seconds(1), "{:?}", start.elapsed());
}

/// conf: A8
#[tokio::test(start_paused = true)]
async fn the_first_lost_connection_of_a_call_takes_nothing_from_the_budget() {
    let html = Answer::Http(503, vec![("content-type", "text/html")], "");
    for (failure, losses, allowed) in [(None, 1, 1.2), (None, 2, 8.0), (Some(html), 0, 8.0)] {
        let script = Script::new(failure.into_iter().flat_map(|answer| vec![answer; MANY]));
        let script = script.then(Answer::Ok.after(seconds(1)));
        let client = builder().build_with(losing(script, losses * MANY)).unwrap();
        let start = Instant::now();
        assert!(many_calls(&client).await.is_empty());
        // Jitter is up to 130 ms. If the budget is needed, the first successes come too late to fill it.
        let took = start.elapsed().as_secs_f64();
        assert!((1.0..allowed).contains(&took) && (allowed < 2.0 || took > 2.0), "{took} {allowed}");
    }
}

/// conf: A23
#[tokio::test(start_paused = true)]
async fn a_call_whose_token_is_revoked_while_the_source_fails_is_retried_if_that_is_transient() {
    let old = || Outcome::Token(Token::new("old", None).unwrap());
    let new = || Outcome::Token(Token::new("new", None).unwrap());
    for (failure, requests) in [(Error::transient("asleep"), 2), (Error::permanent("gone"), 1)] {
        let transient = failure.is_transient();
        let script = Script::new([Answer::status(Code::Unauthenticated, "revoked")]);
        let source = ScriptedSource::new([old(), Outcome::Fail(failure), new()]);
        let client = script.client_with(builder().credentials(source.credentials()));
        let outcome = client.sign_blob(TARGET, "bytes").await;
        assert_eq!((outcome.is_ok(), script.calls()), (transient, requests), "{outcome:?}");
        if let Err(error) = outcome {
            assert_eq!(error.code(), Code::Unauthenticated, "{error:#}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_rejected_token_is_invalidated_and_fetched_again_only_for_another_attempt() {
    let rejection = Answer::status(Code::Unauthenticated, "revoked");
    for (policy, sent) in [(RetryPolicy::none(), 1), (RetryPolicy::new(), 2)] {
        let script = Script::always(rejection.clone());
        let source = ScriptedSource::numbered();
        let client = script.client_with(builder().credentials(source.credentials()).retry(policy));
        client.sign_blob(TARGET, "bytes").await.unwrap_err();
        assert_eq!((script.calls(), source.fetches()), (sent, sent));
        script.answer_from_now(Answer::Ok);
        client.sign_blob(TARGET, "bytes").await.unwrap();
        let token = format!("Bearer token-{}", sent + 1);
        assert_eq!(script.received().last().unwrap().header("authorization"), Some(token.as_str()));
    }
}

/// conf: A10
#[tokio::test(start_paused = true)]
async fn a_malformed_reply_after_a_retry_counts_both_requests() {
    let malformed = Answer::reply(&gcp_iam_credentials::proto::SignBlobResponse::default());
    let script = Script::new([Answer::unavailable(), malformed]);
    let error = script.client().sign_blob(TARGET, "bytes").await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::InvalidReply, 2), "{error:#}");
}

/// conf: A10
#[tokio::test(start_paused = true)]
async fn an_error_counts_the_requests_that_were_sent() {
    let policy = RetryPolicy::new().max_attempts(4);
    let token = Outcome::Token(Token::new("secret", None).unwrap());
    let failure = Outcome::Fail(Error::transient("the vault is sealed"));
    for (fetches, requests) in [(vec![failure.clone()], 0), (vec![failure, token], 3)] {
        let script = Script::always(Answer::unavailable());
        let source = ScriptedSource::new(fetches);
        let client = script.client_with(builder().credentials(source.credentials()).retry(policy));
        let error = client.sign_blob(TARGET, "bytes").await.unwrap_err();
        assert_eq!((error.attempts() as usize, script.calls()), (requests, requests), "{error:#}");
    }
}

/// conf: A10
#[cfg(feature = "_tls")]
#[tokio::test]
async fn a_request_that_waited_for_a_connection_in_vain_was_not_sent() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = |address| builder().endpoint(format!("https://{address}")).build().unwrap();
    // The handshake gets no reply.
    let client_of_silent = client(silent.local_addr().unwrap());
    let call = client_of_silent.sign_blob(TARGET, "").attempt_timeout(ms(30)).timeout(ms(300));
    let error = call.await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Timeout, 0), "{error:#}");
    let closed = ClosedPort::new();
    let error = client(closed.address()).sign_blob(TARGET, "").timeout(ms(300)).await.unwrap_err();
    assert_eq!(error.attempts(), 0, "{error:#}");
}
