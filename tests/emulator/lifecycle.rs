//! Start, stop, reset and journal of an emulator.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Fault, Method};
use gcp_iam_credentials::{scopes, service_account_path};
use tonic::Code;

use crate::support::emulator::{EMAIL, access_token, get_token, start, stub, with_bearer};

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
