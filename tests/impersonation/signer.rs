//! Signatures of a target account.

use std::time::Duration;

use gcp_iam_credentials::RetryPolicy;
use gcp_iam_credentials::proto::*;
use tonic::Code;

use crate::support::accounts::TARGET;
use crate::support::scripted_service::{Answer, Script, builder};
use crate::{DELEGATES, HOUR, full_names, last_jwt_payload};

/// conf: P41, P42, P37, R10
#[tokio::test]
async fn a_signer_signs_as_the_target_through_its_delegates_and_returns_the_key_id() {
    let script = Script::default();
    let signer = script.client().impersonate(TARGET).delegates(DELEGATES).signer().unwrap();
    assert_eq!(signer.email(), TARGET);
    let blob = signer.sign_blob("bytes").await.unwrap();
    assert_eq!(blob.key_id(), "key-1");
    let sent: SignBlobRequest = script.only_request().decode();
    assert_eq!((sent.delegates, sent.payload), (full_names(), b"bytes".to_vec()));
    assert_eq!(sent.name, format!("projects/-/serviceAccounts/{TARGET}"));

    let claims = serde_json::json!({ "sub": "someone" });
    let jwt = signer.sign_jwt(&claims).expires_in(HOUR).await.unwrap();
    assert_eq!(jwt.key_id(), "key-1");
    let sent = last_jwt_payload(&script);
    assert_eq!(sent["exp"].as_u64().unwrap() - sent["iat"].as_u64().unwrap(), 3600);
    assert_eq!(sent["sub"], "someone");
    signer.sign_jwt(&claims).await.unwrap();
    assert_eq!(last_jwt_payload(&script), claims);
    for error in [
        signer.sign_jwt(&claims).expires_in(Duration::ZERO).await.unwrap_err(),
        signer.sign_jwt(&claims).expires_in(HOUR * 13).await.unwrap_err(),
    ] {
        assert_eq!(error.field(), Some("expires_in"));
    }
}

/// conf: G73
#[tokio::test]
async fn a_signer_retries_a_reset_stream_and_a_503_and_reports_a_500() {
    let script = Script::new([Answer::Break, Answer::unavailable()]);
    let server = script.serve().await;
    let signer = server.client().impersonate(TARGET).signer().unwrap();
    signer.sign_blob("bytes").await.unwrap();
    assert_eq!((script.calls(), signer.email()), (3, TARGET));

    let script = Script::always(Answer::status(Code::Internal, "broken"));
    let client = script.client_with(builder().retry(RetryPolicy::new().max_attempts(3)));
    let error = client.impersonate(TARGET).signer().unwrap().sign_blob("bytes").await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), (Code::Internal, true));
}
