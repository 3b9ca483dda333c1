//! Calls and their attempts.

use std::time::Duration;

use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use tonic::Code;

use crate::recorder::Recorder;
use crate::support::accounts::TARGET;
use crate::support::runtime::one_paused_thread;
use crate::support::scripted_service::{Answer, Script};

/// conf: N1
#[test]
fn a_call_is_one_measurement_with_its_code_however_many_attempts_it_takes() {
    let recorder = Recorder::default();
    recorder.run(one_paused_thread(), async {
        let script = Script::new([
            Answer::unavailable(),
            Answer::unavailable(),
            Answer::Ok,
            Answer::status(Code::Unimplemented, "no such method"),
        ]);
        let client = script.client();
        client.generate_access_token(TARGET, [CLOUD_PLATFORM]).await.unwrap();
        client.sign_blob(TARGET, "bytes").await.unwrap_err();
    });
    let expected = [
        ("call_attempts_total{code=OK,operation=generate_access_token}", 1.0),
        ("call_attempts_total{code=UNAVAILABLE,operation=generate_access_token}", 2.0),
        ("call_attempts_total{code=UNIMPLEMENTED,operation=sign_blob}", 1.0),
        ("call_duration_seconds{code=OK,operation=generate_access_token}", 1.0),
        ("call_duration_seconds{code=UNIMPLEMENTED,operation=sign_blob}", 1.0),
    ];
    assert_eq!(recorder.starting_with("call_"), expected.map(|(key, value)| (key.to_owned(), value)));
}

/// conf: N3
#[test]
fn a_dropped_call_is_cancelled() {
    let recorder = Recorder::default();
    recorder.run(one_paused_thread(), async {
        let client = Script::always(Answer::Hang).client();
        let call = client.sign_blob(TARGET, "bytes").into_future();
        tokio::time::timeout(Duration::from_secs(1), call).await.unwrap_err();
    });
    assert_eq!(recorder.value("call_duration_seconds{code=CANCELLED,operation=sign_blob}"), 1.0);
    assert_eq!(recorder.sum("call_attempts_total"), 0.0);
}
