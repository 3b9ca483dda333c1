//! Injected faults, as a client sees them.

use std::time::Duration;

use crate::support::emulator::{EMAIL, access_token, start, stub, with_bearer};
use gcp_iam_credentials::emulator::{Fault, Method};
use tonic::Code;
use tonic_types::StatusExt;

#[tokio::test]
async fn a_fault_applies_to_as_many_calls_as_requested() {
    let emulator = start().await;
    let mut stub = stub(&emulator);
    emulator.inject(
        Fault::status(Code::Unavailable, "later")
            .retry_after(Duration::from_millis(2500))
            .method(Method::GenerateAccessToken)
            .times(2),
    );
    for _ in 0..2 {
        let status = stub.generate_access_token(with_bearer(access_token(EMAIL), "any")).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "later"));
        let retry = status.get_details_retry_info().unwrap();
        assert_eq!(retry.retry_delay, Some(Duration::from_millis(2500)));
    }
    stub.generate_access_token(with_bearer(access_token(EMAIL), "any")).await.unwrap();
    let faults = emulator.journal().iter().filter(|entry| entry.outcome.as_ref().unwrap().fault).count();
    assert_eq!(faults, 2);
}

#[tokio::test]
async fn a_hanging_call_ends_when_its_caller_cancels_it() {
    let emulator = start().await;
    let fault = emulator.inject(Fault::hang());
    let mut stub = stub(&emulator);
    let call = stub.generate_access_token(with_bearer(access_token(EMAIL), "any"));
    tokio::time::timeout(Duration::from_millis(200), call).await.unwrap_err();
    let left = async {
        while emulator.journal()[0].outcome.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), left)
        .await
        .expect("the journal hears that the caller left");
    assert_eq!(emulator.journal()[0].outcome.as_ref().unwrap().code, Code::Cancelled);
    assert!(emulator.clear_fault(fault));
    stub.generate_access_token(with_bearer(access_token(EMAIL), "any")).await.unwrap();
}

#[tokio::test]
async fn a_delayed_call_succeeds() {
    let emulator = start().await;
    emulator.inject(Fault::delay(Duration::from_millis(150)).times(1));
    let start = tokio::time::Instant::now();
    stub(&emulator).generate_access_token(with_bearer(access_token(EMAIL), "any")).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn each_kind_of_broken_reply_fails_one_call_and_no_other() {
    let emulator = start().await;
    for (fault, what) in [
        (Fault::reset(), "reset"),
        (Fault::go_away(), "GOAWAY"),
        (Fault::truncate(), "truncated"),
        (Fault::bad_details().method(Method::SignBlob), "not struck"),
        (Fault::html(http::StatusCode::BAD_GATEWAY), "HTML"),
    ] {
        let struck = what != "not struck";
        emulator.clear_faults();
        emulator.inject(fault.times(1));
        let mut stub = stub(&emulator);
        let call = stub.generate_access_token(with_bearer(access_token(EMAIL), "any"));
        let result = tokio::time::timeout(Duration::from_secs(10), call).await.expect(what);
        assert_eq!(result.is_err(), struck, "{what}: {result:?}");
        stub.generate_access_token(with_bearer(access_token(EMAIL), "any")).await.expect(what);
    }
}

#[tokio::test]
async fn a_stalled_body_never_ends() {
    let emulator = start().await;
    emulator.inject(Fault::stall_body());
    let mut stub = stub(&emulator);
    let call = stub.generate_access_token(with_bearer(access_token(EMAIL), "any"));
    tokio::time::timeout(Duration::from_millis(200), call).await.expect_err("the body stalls");
}
