//! Start, stop, reset and journal of an emulator.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Fault, Method};
use gcp_iam_credentials::{scopes, service_account_path};
use tokio::net::TcpStream;
use tonic::Code;

use crate::support::emulator::{EMAIL, access_token, get_token, http, start, stub, with_bearer};
use crate::support::runtime::until;

#[tokio::test]
async fn emulators_in_one_process_share_nothing() {
    let (one, other) = (start().await, start().await);
    assert_ne!(one.address(), other.address());
    let token = get_token(&mut stub(&one)).await.unwrap();
    assert!(one.verify_access_token(&token).is_some());
    assert_eq!(other.verify_access_token(&token), None);
    assert!(other.journal().entries().is_empty());
}

#[tokio::test]
async fn a_dropped_emulator_frees_its_port_at_once() {
    let emulator = start().await;
    let address = emulator.address();
    get_token(&mut stub(&emulator)).await.unwrap();
    drop(emulator);
    tokio::net::TcpStream::connect(address).await.expect_err("a stopped emulator accepts no connection");
    Emulator::builder().address(address).start().await.expect("the port is free");
}

#[tokio::test]
async fn a_stopped_emulator_sends_its_last_replies_and_accepts_nothing_new() {
    let emulator = start().await;
    let address = emulator.address();
    emulator.faults().inject(Fault::delay(Duration::from_millis(300)).times(2));
    let mut grpc = stub(&emulator);
    let grpc = tokio::spawn(async move { get_token(&mut grpc).await });
    let url = format!("{}/tokeninfo", emulator.endpoint());
    let rest = tokio::spawn(async move { http("GET", &url, &[], "").await });
    // This connection sends nothing, so it has no reply to wait for.
    let _silent = TcpStream::connect(address).await.unwrap();
    until("both calls", || emulator.journal().entries().len() == 2).await;

    let stop = tokio::spawn(emulator.stop(Duration::from_secs(60)));
    until("the end of the listener", || std::net::TcpStream::connect(address).is_err()).await;
    grpc.await.unwrap().expect("a call in progress gets its reply");
    assert_eq!(rest.await.unwrap().0, 400, "a request in progress gets its reply");
    let stopped = tokio::time::timeout(Duration::from_secs(10), stop).await;
    stopped.expect("it stops after the last reply").unwrap();
    Emulator::builder().address(address).start().await.expect("the port is free");
}

#[tokio::test]
async fn a_call_that_hangs_delays_a_stop_for_as_long_as_allowed_and_never_a_drop() {
    for stop in [true, false] {
        let emulator = start().await;
        emulator.faults().inject(Fault::hang());
        let mut stub = stub(&emulator);
        let call = tokio::spawn(async move { get_token(&mut stub).await });
        until("the call", || !emulator.journal().entries().is_empty()).await;
        let start = tokio::time::Instant::now();
        if stop {
            emulator.stop(Duration::from_millis(200)).await;
            assert!(start.elapsed() >= Duration::from_millis(200));
        } else {
            // Polled once, so it has asked for the stop.
            let stop = emulator.stop(Duration::from_secs(600));
            tokio::time::timeout(Duration::from_millis(50), stop).await.expect_err("the call hangs");
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{stop}: {:?}", start.elapsed());
        call.await.unwrap().expect_err("the emulator is gone");
    }
}

#[tokio::test]
async fn a_reset_removes_everything_except_keys() {
    let emulator = start().await;
    let key_file = emulator.service_account_key_json(EMAIL);
    let token = get_token(&mut stub(&emulator)).await.unwrap();
    emulator.faults().inject(Fault::hang());
    emulator.clock().advance(Duration::from_secs(10));
    emulator.reset();
    assert!(emulator.journal().entries().is_empty());
    assert_eq!(emulator.verify_access_token(&token), None);
    get_token(&mut stub(&emulator)).await.unwrap();
    assert_eq!(emulator.service_account_key_json(EMAIL), key_file);
}

#[tokio::test]
async fn the_journal_records_everything_except_secrets() {
    let emulator = start().await;
    let mut request = with_bearer(access_token(EMAIL), "secret-bearer-token");
    request.metadata_mut().insert("x-goog-request-params", "name=x".parse().unwrap());
    stub(&emulator).generate_access_token(request).await.unwrap();
    stub(&emulator).generate_access_token(access_token(EMAIL)).await.unwrap_err();

    let journal = emulator.journal().entries();
    assert_eq!(journal.len(), 2);
    let (first, second) = (&journal[0], &journal[1]);
    assert_eq!(first.method(), Method::GenerateAccessToken);
    assert_eq!(first.principal(), Some("anyone"));
    assert_eq!(first.name(), service_account_path("-", EMAIL));
    assert_eq!(first.fields().scopes(), [scopes::CLOUD_PLATFORM]);
    assert_eq!(first.header("x-goog-request-params"), Some("name=x"));
    assert_eq!(first.outcome().unwrap().code(), Code::Ok);
    assert_ne!(first.connection(), second.connection());
    let refused = second.outcome().unwrap();
    assert_eq!((refused.code(), refused.reason()), (Code::Unauthenticated, Some("CREDENTIALS_MISSING")));
    assert!(!format!("{journal:?}{emulator:?}").contains("secret-bearer"), "{journal:?}");
    emulator.journal().clear();
    assert!(emulator.journal().entries().is_empty());
}
