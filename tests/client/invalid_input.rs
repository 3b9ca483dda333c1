//! Arguments that are refused before anything is sent.

use std::time::Duration;

use gcp_iam_credentials::{Credentials, Error, ErrorKind, IamCredentialsClient, ImpersonationPool};

use crate::support::accounts::TARGET;
use crate::support::scripted_service::Script;

/// conf: P2, P3, P4, P9, P43, P26
#[tokio::test]
async fn invalid_input_names_its_field_and_nothing_is_sent() {
    let script = Script::default();
    let client = script.client();
    let none: [&str; 0] = [];
    let seconds = Duration::from_secs;
    let outcomes: Vec<(&str, Result<(), Error>)> = vec![
        ("target", client.generate_access_token("nobody", ["email"]).await.map(drop)),
        ("target", client.generate_id_token("", "aud").await.map(drop)),
        ("target", client.sign_blob("a b@c", "").await.map(drop)),
        ("target", client.sign_jwt("a/b", &serde_json::json!({})).await.map(drop)),
        ("scopes", client.generate_access_token(TARGET, none).await.map(drop)),
        ("scopes[1]", client.generate_access_token(TARGET, ["email", ""]).await.map(drop)),
        ("delegates[1]", client.sign_blob(TARGET, "").delegates(["a@b.c", "nobody"]).await.map(drop)),
        (
            "lifetime",
            client.generate_access_token(TARGET, ["email"]).lifetime(Duration::ZERO).await.map(drop),
        ),
        (
            "lifetime",
            client.generate_access_token(TARGET, ["email"]).lifetime(seconds(43_201)).await.map(drop),
        ),
        ("lifetime", client.generate_access_token(TARGET, ["email"]).lifetime(Duration::MAX).await.map(drop)),
        ("audience", client.generate_id_token(TARGET, "").await.map(drop)),
        ("audience", client.generate_id_token(TARGET, " ").await.map(drop)),
        ("claims", client.sign_jwt(TARGET, &[1]).await.map(drop)),
        ("claims.exp", client.sign_jwt(TARGET, &serde_json::json!({"exp": 1.5})).await.map(drop)),
        ("claims.exp", client.sign_jwt(TARGET, &serde_json::json!({"exp": u64::MAX})).await.map(drop)),
        ("target", client.impersonate("nobody").access_token(["email"]).map(drop)),
        ("scopes", client.impersonate(TARGET).access_token(none).map(drop)),
        ("lifetime", client.impersonate(TARGET).lifetime(seconds(43_210)).access_token(["email"]).map(drop)),
        ("delegates[0]", client.impersonate(TARGET).delegates(["-"]).id_token("aud").map(drop)),
        ("audience", client.impersonate(TARGET).id_token("").map(drop)),
        ("include_email", client.impersonate(TARGET).include_email(true).access_token(["email"]).map(drop)),
        ("lifetime", client.impersonate(TARGET).lifetime(seconds(60)).id_token("aud").map(drop)),
    ];
    for (field, outcome) in outcomes {
        let error = outcome.expect_err(field);
        assert_eq!(error.field(), Some(field), "{error}");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(!error.is_transient());
        assert!(error.to_string().contains(field), "{error}");
    }
    client.generate_access_token(TARGET, ["email"]).lifetime(seconds(1)).await.unwrap();
    client.generate_access_token(TARGET, ["email"]).lifetime(seconds(43_200)).await.unwrap();
    assert_eq!(script.calls(), 2);
}

/// conf: A24
#[tokio::test]
async fn a_scope_that_is_no_url_is_refused_wherever_scopes_are_taken() {
    let script = Script::default();
    let client = script.client();
    let pool = ImpersonationPool::builder(client.clone()).build();
    for (scope, advice) in [
        ("cloud-platform", "fix: use the full URL: https://www.googleapis.com/auth/cloud-platform"),
        ("a,b", "fix: pass each scope as an item of its own"),
        ("openid email", "fix: pass each scope as an item of its own"),
        ("pub/sub", "fix: use the full URL"),
    ] {
        for outcome in [
            client.generate_access_token(TARGET, [scope]).await.map(drop),
            client.impersonate(TARGET).access_token([scope]).map(drop),
            client.impersonate(TARGET).subject("user@example.com").access_token([scope]).map(drop),
            pool.impersonate(TARGET).access_token([scope]).map(drop),
            Credentials::builder().scopes([scope]).json("{}").map(drop),
        ] {
            let error = outcome.expect_err(scope);
            assert_eq!(
                (error.kind(), error.field()),
                (ErrorKind::InvalidInput, Some("scopes[0]")),
                "{error}"
            );
            assert!(error.to_string().contains(advice), "{error}");
        }
    }
    assert_eq!(script.calls(), 0);
}

/// conf: G15, G16, M23, R12
#[tokio::test]
async fn a_reserved_or_illegal_key_is_an_error_and_nothing_is_sent() {
    let script = Script::default();
    for key in [
        "authorization",
        "Authorization",
        "user-agent",
        "x-goog-api-client",
        "x-goog-api-key",
        "x-goog-request-params",
        "x-goog-user-project",
        "grpc-timeout",
        "grpc-encoding",
        "content-type",
        "te",
        "host",
        "",
        "with space",
        "ünicode",
        "line\nbreak",
        "trace-bin",
    ] {
        let error = script.client().sign_blob(TARGET, "").metadata(key, "hidden").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{key:?}");
        assert_eq!(error.field(), Some(format!("metadata[{key:?}]").as_str()));
        assert!(!format!("{error} {error:?}").contains("hidden"));
    }
    for value in ["line\nbreak", "hidden\u{0}", "ünïcode"] {
        let error = script.client().sign_blob(TARGET, "").metadata("x-key", value).await.unwrap_err();
        assert_eq!(error.field(), Some("metadata[\"x-key\"]"));
        assert!(!format!("{error} {error:?}").contains(value));
    }
    assert_eq!(script.calls(), 0);
}

#[test]
fn a_call_outside_a_runtime_is_an_error_not_a_panic() {
    let client: IamCredentialsClient = Script::default().client();
    let mut call = std::pin::pin!(std::future::IntoFuture::into_future(client.sign_blob(TARGET, "")));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match call.as_mut().poll(&mut context) {
        std::task::Poll::Ready(Err(error)) => assert_eq!(error.field(), Some("runtime")),
        other => panic!("{other:?}"),
    }
}
