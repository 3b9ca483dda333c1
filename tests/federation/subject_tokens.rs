//! Where subject tokens come from, and that a refused one is replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gcp_iam_credentials::emulator::{ExternalAccountFile, Fault, Method, PlatformFault, SubjectTokenSource};
use gcp_iam_credentials::source::SubjectTokenRequest;
use gcp_iam_credentials::{Credentials, Error, ErrorKind};
use serde_json::json;

use crate::support::federation::{AUDIENCE, JWT, count, file, file_with_source, start};

/// conf: F1
#[tokio::test]
async fn a_file_is_read_anew_for_each_exchange() {
    let emulator = start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let text = Credentials::from_json(&file_with_source(&emulator, &json!({"file": path}))).unwrap();
    let error = text.token().await.unwrap_err();
    assert!(error.to_string().contains(&*path.display().to_string()), "{error}");
    assert!(error.to_string().contains("credential_source.file"), "{error}");

    for _ in 0..2 {
        let token = emulator.external_account_token("pod").await.unwrap();
        std::fs::write(&path, token + "\n").unwrap();
        text.refresh().await.unwrap();
        std::fs::write(&path, "").unwrap();
        let error = text.refresh().await.unwrap_err();
        assert!(error.to_string().contains("empty"), "{error}");
    }
    let format = json!({"type": "json", "subject_token_field_name": "id_token"});
    let source = json!({"file": path, "format": format});
    let in_json = Credentials::from_json(&file_with_source(&emulator, &source)).unwrap();
    let token = emulator.external_account_token("pod").await.unwrap();
    std::fs::write(&path, json!({"id_token": token}).to_string()).unwrap();
    in_json.token().await.unwrap();
    assert_eq!(count(&emulator, Method::Token), 3);
}

/// conf: F2
#[tokio::test]
async fn a_platforms_url_is_asked_anew_for_each_exchange() {
    let emulator = start().await;
    for source in [SubjectTokenSource::Url, SubjectTokenSource::GithubActions, SubjectTokenSource::Azure] {
        let before = count(&emulator, Method::ExternalAccount);
        let options = ExternalAccountFile::new().source(source.clone());
        let credentials = Credentials::from_json(&file(&emulator, &options, &json!({}))).unwrap();
        for _ in 0..2 {
            let token = credentials.refresh().await.unwrap_or_else(|error| panic!("{source:?}: {error}"));
            assert!(token.expires_at().is_some());
        }
        assert_eq!(count(&emulator, Method::ExternalAccount), before + 2, "{source:?}");
    }
}

/// conf: F7
#[tokio::test]
async fn a_refused_subject_token_is_replaced_by_the_one_that_took_its_place() {
    let emulator = start().await;
    let credentials =
        Credentials::from_json(&file(&emulator, &ExternalAccountFile::new(), &json!({}))).unwrap();
    for fault in [PlatformFault::StaleToken, PlatformFault::WrongAudience] {
        let before = count(&emulator, Method::Token);
        emulator.faults().inject(Fault::platform(fault).account("pod").times(1));
        credentials.refresh().await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(count(&emulator, Method::Token), before + 2, "{fault:?}");
    }
    let before = count(&emulator, Method::Token);
    for fault in [PlatformFault::StaleToken, PlatformFault::WrongAudience] {
        emulator.faults().inject(Fault::platform(fault).account("pod").times(1));
    }
    let error = credentials.refresh().await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("invalid_grant"), "{error}");
    assert_eq!(count(&emulator, Method::Token), before + 2, "one more exchange and no other");
}

/// conf: F7
#[tokio::test]
async fn a_refused_subject_token_that_has_not_changed_is_not_exchanged_again() {
    let emulator = start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    emulator.faults().inject(Fault::platform(PlatformFault::StaleToken).times(1));
    std::fs::write(&path, emulator.external_account_token("pod").await.unwrap()).unwrap();
    let credentials = Credentials::from_json(&file_with_source(&emulator, &json!({"file": path}))).unwrap();
    let error = credentials.token().await.unwrap_err();
    assert!(error.to_string().contains("invalid_grant"), "{error}");
    assert_eq!(count(&emulator, Method::Token), 1);
}

/// conf: F7
#[tokio::test]
async fn an_issuer_that_cannot_be_reached_is_a_transient_failure() {
    let emulator = start().await;
    let credentials =
        Credentials::from_json(&file(&emulator, &ExternalAccountFile::new(), &json!({}))).unwrap();
    let unreachable = Fault::platform(PlatformFault::IssuerUnreachable).account("pod");
    emulator.faults().inject(unreachable.clone().times(1));
    credentials.token().await.expect("the exchange is retried");
    emulator.faults().inject(unreachable);
    let error = credentials.refresh().await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(count(&emulator, Method::ExternalAccount), 2, "the subject token was good");
}

/// conf: F5
#[tokio::test]
async fn a_closure_supplies_a_token_for_each_exchange_and_learns_what_is_wanted() {
    let emulator = Arc::new(start().await);
    let calls = Arc::new(AtomicUsize::new(0));
    let supply = {
        let (emulator, calls) = (Arc::clone(&emulator), Arc::clone(&calls));
        move |request: SubjectTokenRequest| {
            assert_eq!((request.audience(), request.subject_token_type()), (AUDIENCE, JWT));
            assert!(!request.time_left().is_zero());
            calls.fetch_add(1, Ordering::SeqCst);
            let emulator = Arc::clone(&emulator);
            async move { emulator.external_account_token("pod").await.map_err(Error::permanent) }
        }
    };
    let builder = Credentials::builder().token_url(format!("{}/v1/token", emulator.endpoint()));
    let credentials = builder.external_account(AUDIENCE, JWT, supply).unwrap();
    for _ in 0..2 {
        credentials.refresh().await.unwrap();
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

/// conf: F5
#[tokio::test]
async fn errors_of_a_closure_keep_their_transience_and_nothing_is_exchanged() {
    let emulator = start().await;
    let builder = Credentials::builder().token_url(format!("{}/v1/token", emulator.endpoint()));
    for transient in [true, false] {
        let failure = move || match transient {
            true => Error::transient("the vault is sealed"),
            false => Error::permanent("no such role"),
        };
        let supply = move |_| async move { Err(failure()) };
        let credentials = builder.clone().external_account(AUDIENCE, JWT, supply).unwrap();
        let error = credentials.token().await.unwrap_err();
        assert_eq!((error.is_transient(), error.kind()), (transient, ErrorKind::Credentials), "{error:?}");
        assert_eq!(error.to_string(), failure().to_string());
    }
    let supply = |_| async { Ok(" \n".to_owned()) };
    let empty = builder.external_account(AUDIENCE, JWT, supply).unwrap();
    let error = empty.token().await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("empty"), "{error}");
    assert_eq!(count(&emulator, Method::Token), 0);
}
