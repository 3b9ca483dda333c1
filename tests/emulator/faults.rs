//! Injected faults, as a client sees them.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Fault, Method};
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::emulator::{get_token, start, stub};
use crate::support::runtime::until;

#[tokio::test]
async fn a_fault_applies_to_as_many_calls_as_requested() {
    let emulator = start().await;
    let mut stub = stub(&emulator);
    emulator.faults().inject(
        Fault::status(Code::Unavailable)
            .message("later")
            .retry_info(Duration::from_millis(2500))
            .method(Method::GenerateAccessToken)
            .times(2),
    );
    for _ in 0..2 {
        let status = get_token(&mut stub).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "later"));
        let retry = status.get_details_retry_info().unwrap();
        assert_eq!(retry.retry_delay, Some(Duration::from_millis(2500)));
    }
    get_token(&mut stub).await.unwrap();
    let faults =
        emulator.journal().entries().iter().filter(|entry| entry.outcome().unwrap().by_fault()).count();
    assert_eq!(faults, 2);
}

#[tokio::test]
async fn a_hanging_call_ends_when_its_caller_cancels_it() {
    let emulator = start().await;
    let fault = emulator.faults().inject(Fault::hang());
    let mut stub = stub(&emulator);
    let call = get_token(&mut stub);
    tokio::time::timeout(Duration::from_millis(200), call).await.unwrap_err();
    until("the end of the call in the journal", || emulator.journal().entries()[0].outcome().is_some()).await;
    assert_eq!(emulator.journal().entries()[0].outcome().unwrap().code(), Code::Cancelled);
    assert!(emulator.faults().clear(fault));
    get_token(&mut stub).await.unwrap();
}

#[tokio::test]
async fn a_delayed_call_succeeds() {
    let emulator = start().await;
    emulator.faults().inject(Fault::delay(Duration::from_millis(150)).times(1));
    let start = tokio::time::Instant::now();
    get_token(&mut stub(&emulator)).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn each_kind_of_broken_reply_fails_one_call_and_no_other() {
    let emulator = start().await;
    for (fault, what) in [
        (Fault::reset(), "reset"),
        (Fault::go_away(), "GOAWAY"),
        (Fault::truncate(), "truncated"),
        (Fault::html(http::StatusCode::BAD_GATEWAY), "HTML"),
    ] {
        emulator.faults().clear_all();
        emulator.faults().inject(fault.times(1));
        let mut stub = stub(&emulator);
        let call = get_token(&mut stub);
        let result = tokio::time::timeout(Duration::from_secs(10), call).await.expect(what);
        result.expect_err(what);
        get_token(&mut stub).await.expect(what);
    }
}

#[tokio::test]
async fn a_fault_of_one_method_applies_to_no_other() {
    let emulator = start().await;
    emulator.faults().inject(Fault::bad_details().method(Method::SignBlob));
    get_token(&mut stub(&emulator)).await.expect("the fault is for sign_blob");
}

#[tokio::test]
async fn a_stalled_body_never_ends() {
    let emulator = start().await;
    emulator.faults().inject(Fault::stall_body());
    let mut stub = stub(&emulator);
    let call = get_token(&mut stub);
    tokio::time::timeout(Duration::from_millis(200), call).await.expect_err("the body stalls");
}
