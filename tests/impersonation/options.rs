//! The options of an impersonation: where each applies, and what a copy shares.

use gcp_iam_credentials::Impersonation;
use gcp_iam_credentials::proto::*;

use crate::support::accounts::TARGET;
use crate::support::scripted_service::{Script, builder};
use crate::{DELEGATES, HOUR, full_names};

/// conf: R9, P43
#[cfg(feature = "credential-files")]
#[tokio::test]
async fn an_option_that_the_verb_cannot_use_is_an_error() {
    let script = Script::default();
    let client = script.client();
    let options = || client.impersonate(TARGET);
    let unique_id = || client.impersonate("1234567890");
    let user = "user@example.com";
    let outcomes: Vec<(&str, Result<(), gcp_iam_credentials::Error>)> = vec![
        ("include_email", options().include_email(false).access_token(["email"]).map(drop)),
        ("include_email", options().include_email(true).self_signed_jwt("aud").map(drop)),
        ("include_email", options().include_email(true).signer().map(drop)),
        ("lifetime", options().lifetime(HOUR).id_token("aud").map(drop)),
        ("lifetime", options().lifetime(HOUR).signer().map(drop)),
        ("lifetime", options().lifetime(HOUR).subject(user).access_token(["email"]).map(drop)),
        ("lifetime", options().lifetime(HOUR * 2).self_signed_jwt("aud").map(drop)),
        ("subject", options().subject(user).id_token("aud").map(drop)),
        ("subject", options().subject(user).self_signed_jwt("aud").map(drop)),
        ("subject", options().subject(user).signer().map(drop)),
        ("subject", options().subject("nobody").access_token(["email"]).map(drop)),
        ("quota_project", options().quota_project("p").signer().map(drop)),
        ("quota_project", options().quota_project("a b").access_token(["email"]).map(drop)),
        ("target", unique_id().self_signed_jwt("aud").map(drop)),
        ("target", unique_id().signer().map(drop)),
        ("target", unique_id().subject(user).access_token(["email"]).map(drop)),
        ("audience", options().self_signed_jwt("").map(drop)),
    ];
    for (field, outcome) in outcomes {
        assert_eq!(outcome.expect_err(field).field(), Some(field));
    }
    unique_id().access_token(["email"]).unwrap();
    assert_eq!(script.calls(), 0);
}

/// conf: P35
#[tokio::test]
async fn a_subject_requires_the_universe_googleapis_com() {
    let script = Script::default();
    let client = script.client_with(builder().universe_domain("universe.example"));
    let error = client.impersonate(TARGET).subject("user@example.com").access_token(["email"]).unwrap_err();
    assert_eq!(error.field(), Some("subject"));
    assert!(error.to_string().contains("universe.example"), "{error}");
}

/// conf: P11, R8, P46, P10, P12
#[tokio::test]
async fn a_copy_keeps_every_option_and_shares_no_token() {
    let script = Script::default();
    let options: Impersonation =
        script.client().impersonate(TARGET).delegates(DELEGATES).lifetime(HOUR * 2).quota_project("billed");
    let first = options.clone().access_token(["email"]).unwrap();
    first.token().await.unwrap();
    let second = options.clone().access_token(["openid"]).unwrap();
    assert!(!second.is_valid());
    second.token().await.unwrap();
    for (seen, scope) in script.received().iter().zip(["email", "openid"]) {
        let request: GenerateAccessTokenRequest = seen.decode();
        assert_eq!(request.delegates, full_names());
        assert_eq!(request.scope, [scope]);
        assert_eq!(request.lifetime.unwrap().seconds, 7200);
        // The quota project applies to calls with these credentials, not to the calls that fetch them.
        assert_eq!(seen.header("x-goog-user-project"), None);
    }
    assert_eq!(second.info().quota_project(), Some("billed"));

    let with_email = script.client().impersonate(TARGET).include_email(true);
    for audience in ["one", "two"] {
        with_email.clone().id_token(audience).unwrap().token().await.unwrap();
        let request: GenerateIdTokenRequest = script.received().last().unwrap().decode();
        assert_eq!((request.audience.as_str(), request.include_email), (audience, true));
    }
    let debug = format!("{:?}", options.subject("user@example.com"));
    assert!(debug.contains("user@example.com") && debug.contains("first@example.com"), "{debug}");
}

/// conf: G64
#[tokio::test]
async fn options_of_an_impersonation_do_not_apply_to_its_source() {
    let script = Script::default();
    let source = script.client().impersonate("source@example.com").access_token(["email"]).unwrap();
    let client = script.client_with(builder().credentials(source).quota_project("billing"));
    let acting =
        client.impersonate(TARGET).delegates(DELEGATES).lifetime(HOUR / 2).access_token(["openid"]).unwrap();
    acting.token().await.unwrap();
    let seen = script.received();
    let of_source: GenerateAccessTokenRequest = seen[0].decode();
    assert_eq!((of_source.scope, of_source.delegates), (vec!["email".to_owned()], vec![]));
    assert_eq!(of_source.lifetime.unwrap().seconds, 3600);
    assert_eq!(seen[0].header("x-goog-user-project"), None);
    assert_eq!(seen[1].header("x-goog-user-project"), Some("billing"));
}
