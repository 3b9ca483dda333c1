//! Connections that can't be made, break, or hang: real sockets, short timeouts.

use std::error::Error as _;
use std::time::Duration;

use gcp_iam_credentials::{Error, ErrorKind, IamCredentialsClient, RetryPolicy};
use tokio::net::TcpListener;
use tonic::{Code, Status};

use crate::assert_says_nothing_twice;
use crate::support::accounts::TARGET;
use crate::support::closed_port::ClosedPort;
use crate::support::runtime::{ms, one_thread, until};
use crate::support::scripted_service::{Answer, Script, builder, fixed};
use crate::support::server::{Server, two_listeners};

const FIVE_ATTEMPTS: RetryPolicy = RetryPolicy::new().max_attempts(5);

/// Returns a listener that accepts connections and never sends anything, with its address.
async fn silent_listener() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap().to_string(), listener)
}

/// conf: G4, G86
#[tokio::test]
async fn a_client_of_a_missing_endpoint_is_built_and_then_fails_to_connect() {
    let closed = ClosedPort::new();
    let endpoint = format!("http://{}", closed.address());
    let client = IamCredentialsClient::builder().credentials(fixed()).endpoint(endpoint);
    let client = client.build().unwrap();
    let error = client.sign_blob(TARGET, "").retry(RetryPolicy::none()).await.unwrap_err();
    assert_eq!((error.kind(), error.code(), error.attempts()), (ErrorKind::Transport, Code::Unavailable, 0));
    assert!(error.is_transient());
    assert!(error.to_string().contains("cannot connect to http://"), "{error}");
    assert_says_nothing_twice(&error);
}

/// conf: G7
#[tokio::test]
async fn an_endpoint_can_be_an_ipv4_or_ipv6_address() {
    for bind in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(bind).await else {
            assert!(bind.starts_with('['), "no IPv4 loopback");
            continue;
        };
        let script = Script::default();
        let server = Server::start(script.clone(), listener);
        let client = server.client();
        client.sign_blob(TARGET, "").await.unwrap();
        assert_eq!(client.endpoint(), server.endpoint());
    }
}

/// conf: M19
#[tokio::test]
async fn many_calls_and_identities_share_one_connection() {
    let script = Script::default();
    let server = script.serve().await;
    let client = server.client();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..50 {
        let acting = client.impersonate(format!("sa-{number}@example.com")).access_token(["email"]).unwrap();
        calls.spawn(async move { acting.token().await });
    }
    while let Some(outcome) = calls.join_next().await {
        outcome.unwrap().unwrap();
    }
    assert_eq!((server.connections(), script.calls()), (1, 50));
}

/// conf: M6, G86
#[tokio::test]
async fn a_call_whose_connection_is_cut_is_retried_on_a_new_one() {
    let script = Script::always(Answer::Hang);
    let (listener, second_listener) = two_listeners();
    let server = Server::start(script.clone(), listener);
    let client = server.client();
    let call = tokio::spawn(client.sign_blob(TARGET, "").into_future());
    until("the call", || script.calls() == 1).await;
    server.stop();
    script.answer_from_now(Answer::Ok);
    let restarted = Server::start(script.clone(), second_listener);
    call.await.unwrap().unwrap();
    assert_eq!(restarted.connections(), 1);
}

/// conf: M6
#[tokio::test]
async fn a_goaway_during_a_call_fails_neither_this_call_nor_the_next() {
    let script = Script::new([Answer::Ok.after(ms(200))]);
    let server = script.serve().await;
    let client = server.client();
    let call = tokio::spawn(client.sign_blob(TARGET, "").into_future());
    until("the call", || script.calls() == 1).await;
    server.goaway();
    tokio::time::sleep(ms(20)).await;
    client.sign_blob(TARGET, "").await.unwrap();
    call.await.unwrap().unwrap();
    assert_eq!(server.connections(), 2);
}

/// conf: M6, G86
#[tokio::test]
async fn a_call_whose_stream_is_reset_is_retried() {
    let script = Script::new([Answer::Break, Answer::Break]);
    let server = script.serve().await;
    server.client().sign_blob(TARGET, "").await.unwrap();
    assert_eq!(script.calls(), 3);
}

#[tokio::test]
async fn a_slow_call_does_not_close_the_connection_of_other_calls() {
    let script = Script::new([Answer::Hang]);
    let server = script.serve().await;
    let client = server.client();
    let slow = client.sign_blob(TARGET, "").attempt_timeout(ms(400)).retry(RetryPolicy::none());
    let slow = tokio::spawn(slow.into_future());
    until("the call", || script.calls() == 1).await;
    client.sign_blob(TARGET, "").await.unwrap();
    assert_eq!(slow.await.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
    client.sign_blob(TARGET, "").await.unwrap();
    assert_eq!(server.connections(), 1);
}

/// conf: M5
#[cfg(feature = "_tls")]
#[tokio::test]
async fn a_peer_that_never_answers_the_handshake_is_bounded() {
    let (address, listener) = silent_listener().await;
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move { tokio::io::copy(&mut socket, &mut tokio::io::sink()).await });
        }
    });
    for scheme in ["http", "https"] {
        let client =
            IamCredentialsClient::builder().credentials(fixed()).endpoint(format!("{scheme}://{address}"));
        let client = client.attempt_timeout(ms(150)).timeout(ms(500)).build().unwrap();
        let start = tokio::time::Instant::now();
        let error = client.sign_blob(TARGET, "").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        let took = start.elapsed();
        assert!((ms(300)..Duration::from_secs(5)).contains(&took), "{scheme}: {took:?}");
    }
}

/// conf: M10
#[test]
fn a_client_outlives_the_runtime_that_made_its_connection() {
    let servers = tokio::runtime::Runtime::new().unwrap();
    let script = Script::default();
    let server = servers.block_on(script.serve());
    let client = server.client();
    for round in 1..=3 {
        let runtime = one_thread();
        runtime.block_on(client.sign_blob(TARGET, "").into_future()).unwrap();
        drop(runtime);
        assert_eq!(server.connections(), round);
    }
}

/// conf: M10, A9
#[test]
fn a_runtime_that_nobody_drives_any_more_keeps_no_connection() {
    let servers = tokio::runtime::Runtime::new().unwrap();
    let script = Script::default();
    let server = servers.block_on(script.serve());
    let client = server.client();
    let idle = one_thread();
    idle.block_on(client.sign_blob(TARGET, "").into_future()).unwrap();
    // The connection's task is in the idle runtime, which still exists.
    let call = client.sign_blob(TARGET, "").attempt_timeout(ms(300)).timeout(Duration::from_secs(20));
    one_thread().block_on(call.into_future()).unwrap();
    assert_eq!(server.connections(), 2);
    drop(idle);
}

/// conf: M17
#[tokio::test]
async fn a_dropped_client_leaves_no_task_behind() {
    let script = Script::default();
    let server = script.serve().await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let client = server.client();
    client.sign_blob(TARGET, "").await.unwrap();
    drop(client);
    // The server's end of the connection is a task of this runtime too, and ends with it.
    until("the end of all tasks", || tasks() == before).await;
}

/// conf: R14, G48
#[tokio::test]
async fn an_html_page_of_a_proxy_is_explained_and_its_502_is_retried() {
    let html = vec![("content-type", "text/html; charset=utf-8")];
    for (status, transient, calls) in
        [(502, true, 5), (503, true, 5), (500, true, 5), (200, false, 1), (404, false, 1)]
    {
        let script = Script::always(Answer::Http(status, html.clone(), "<html>hidden</html>"));
        let server = script.serve().await;
        let error = server.client().sign_blob(TARGET, "").retry(FIVE_ATTEMPTS).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.is_transient()),
            (ErrorKind::Transport, transient),
            "{status}: {error}"
        );
        assert_eq!(script.calls(), calls, "{status}: {error}");
        for word in ["not gRPC", &status.to_string(), "text/html"] {
            assert!(error.to_string().contains(word), "{error}");
        }
    }
    let script = Script::new([Answer::Http(502, html, "<html></html>")]);
    script.serve().await.client().sign_blob(TARGET, "").await.unwrap();
}

/// conf: R17
#[tokio::test]
async fn status_details_that_are_not_base64_are_an_error_not_a_panic() {
    let bad = vec![
        ("content-type", "application/grpc"),
        ("grpc-status", "7"),
        ("grpc-status-details-bin", "!!! not base64 !!!"),
    ];
    let script = Script::always(Answer::Http(200, bad, ""));
    let server = script.serve().await;
    let client = server.client();
    let error = client.sign_blob(TARGET, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidReply, "{error}");
    script.answer_from_now(Answer::Ok);
    client.sign_blob(TARGET, "").await.unwrap();
}

/// conf: G49
#[tokio::test]
async fn the_metadata_of_an_error_is_kept() {
    let mut status = Status::new(Code::PermissionDenied, "no");
    status.metadata_mut().insert("x-request-id", "42".parse().unwrap());
    let script = Script::always(Answer::Status(status));
    let server = script.serve().await;
    let error = server.client().sign_blob(TARGET, "").await.unwrap_err();
    assert_eq!(error.service().unwrap().metadata().get("x-request-id").unwrap(), "42");
}

/// conf: G47, G46
#[tokio::test]
async fn a_failure_of_the_inner_service_is_a_transport_error_with_its_cause() {
    let broken = tower::service_fn(|_: http::Request<tonic::body::Body>| async {
        Err::<http::Response<tonic::body::Body>, _>(std::io::Error::other("cable cut"))
    });
    let client = builder().retry(RetryPolicy::none()).build_with(broken).unwrap();
    let error = client.sign_blob(TARGET, "").await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Transport, true));
    assert_eq!(format!("{error:#}").matches("cable cut").count(), 1, "{error:#}");
    assert!(error.get_ref().unwrap().is::<Status>());
    let mut chain = std::iter::successors(error.source(), |error| (*error).source());
    assert!(chain.any(|cause| cause.is::<std::io::Error>()));
}

/// conf: G47
#[tokio::test]
async fn a_status_from_an_inner_layer_counts_as_the_services_status() {
    let refusing = tower::service_fn(|_: http::Request<tonic::body::Body>| async {
        Err::<http::Response<tonic::body::Body>, _>(Status::permission_denied("by the layer"))
    });
    let error = builder().build_with(refusing).unwrap().sign_blob(TARGET, "").await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Service, Code::PermissionDenied));
}

#[tokio::test]
async fn a_credentials_failure_in_an_inner_layer_stays_transient_or_permanent() {
    for (cause, transient) in [(Error::transient("asleep"), true), (Error::permanent("gone"), false)] {
        let failing = tower::service_fn(move |_: http::Request<tonic::body::Body>| {
            let cause = cause.clone();
            async move { Err::<http::Response<tonic::body::Body>, _>(cause) }
        });
        let client = builder().retry(RetryPolicy::none()).build_with(failing).unwrap();
        let error = client.sign_blob(TARGET, "").await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Credentials, transient), "{error}");
    }
}

/// conf: G6
#[tokio::test]
async fn the_user_agent_names_the_program_the_crate_and_tonic() {
    let script = Script::default();
    let server = script.serve().await;
    let client = server.client_with(IamCredentialsClient::builder().user_agent("my-app/1.2"));
    client.sign_blob(TARGET, "").await.unwrap();
    let sent = script.only_request().header("user-agent").unwrap().to_owned();
    let parts: Vec<&str> = sent.split(' ').collect();
    assert_eq!(parts[0], "my-app/1.2");
    assert!(parts[1].starts_with("gcp-iam-credentials/"), "{sent}");
    assert!(parts[2].starts_with("tonic/"), "{sent}");
    let error = IamCredentialsClient::builder().credentials(fixed()).user_agent("a\nb").build().unwrap_err();
    assert_eq!(error.field(), Some("user_agent"));
}

/// conf: G53
#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_at_the_server() {
    let script = Script::new([Answer::Hang]);
    let server = script.serve().await;
    let client = server.client();
    let call = tokio::spawn(client.sign_blob(TARGET, "").into_future());
    until("the call", || script.calls() == 1).await;
    assert_eq!(script.abandoned(), 0);
    call.abort();
    until("the cancellation at the server", || script.abandoned() == 1).await;
    // Other calls are not affected.
    client.sign_blob(TARGET, "").await.unwrap();
    assert_eq!((server.connections(), script.calls()), (1, 2));
}
