//! What the calls return for the replies of the service.

use std::time::{Duration, SystemTime};

use gcp_iam_credentials::proto::*;
use gcp_iam_credentials::{ErrorKind, Token};
use tonic::Code;

use crate::support::accounts::TARGET;
use crate::support::scripted_service::{Answer, SOURCE_TOKEN, Script, builder, id_token};

/// conf: M25
#[tokio::test]
async fn payloads_from_zero_bytes_to_one_mebibyte_are_sent() {
    let script = Script::default();
    let server = script.serve().await;
    let client = server.client();
    for size in [0, 1, 1 << 20] {
        let blob = client.sign_blob(TARGET, vec![7; size]).await.unwrap();
        assert_eq!(blob.signature(), [b"signed ".as_slice(), &(size as u64).to_be_bytes()].concat());
        assert_eq!(blob.key_id(), "key-1");
        let sent: SignBlobRequest = script.received().last().unwrap().decode();
        assert_eq!(sent.payload, vec![7; size]);
    }
    let claims = serde_json::json!({"name": "Zoë Ångström 東京 🦀"});
    client.sign_jwt(TARGET, &claims).await.unwrap();
    let sent: SignJwtRequest = script.received().last().unwrap().decode();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&sent.payload).unwrap(), claims);

    let access_token = "t".repeat(16 * 1024);
    let expire_time = Some((SystemTime::now() + Duration::from_secs(60)).into());
    let reply = GenerateAccessTokenResponse { access_token: access_token.clone(), expire_time };
    script.answer_from_now(Answer::reply(&reply));
    let token = client.generate_access_token(TARGET, ["email"]).await.unwrap();
    assert_eq!(token.secret(), access_token);
}

/// conf: M7, P22, P23, G68
#[tokio::test]
async fn a_malformed_access_token_is_a_permanent_error_that_names_the_call() {
    let in_an_hour = || Some((SystemTime::now() + Duration::from_secs(3600)).into());
    let at = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    for (access_token, expire_time) in [
        ("", in_an_hour()),
        ("hidden token", in_an_hour()),
        ("hidden", None),
        ("hidden", at(1, 0)),
        ("hidden", at(-1, 0)),
        ("hidden", at(4_000_000_000, -5)),
        ("hidden", at(4_000_000_000, i32::MAX)),
    ] {
        let script = Script::always(access_token_reply(access_token, expire_time));
        let error = script.client().generate_access_token(TARGET, ["email"]).await.unwrap_err();
        assert_eq!((error.kind(), script.calls()), (ErrorKind::InvalidReply, 1), "{error}");
        assert!(!error.is_transient());
        assert!(error.to_string().starts_with(&format!("generate_access_token for {TARGET}")), "{error}");
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
    }
}

#[tokio::test]
async fn an_expiry_in_the_year_9999_is_accepted() {
    let expire_time = Some(prost_types::Timestamp { seconds: 253_402_300_799, nanos: 0 });
    let script = Script::always(access_token_reply("token", expire_time));
    script.client().generate_access_token(TARGET, ["email"]).await.unwrap();
}

fn access_token_reply(access_token: &str, expire_time: Option<prost_types::Timestamp>) -> Answer {
    Answer::reply(&GenerateAccessTokenResponse { access_token: access_token.to_owned(), expire_time })
}

/// conf: M7, P22, P48
#[tokio::test]
async fn a_malformed_id_token_is_a_permanent_error() {
    for token in [
        String::new(),
        "hidden".to_owned(),
        id_token(&serde_json::json!({"aud": "hidden"})),
        id_token(&serde_json::json!({"exp": 1})),
        id_token(&serde_json::json!({"exp": "hidden"})),
    ] {
        let script = Script::always(Answer::reply(&GenerateIdTokenResponse { token }));
        let error = script.client().generate_id_token(TARGET, "aud").await.unwrap_err();
        assert_eq!((error.kind(), script.calls()), (ErrorKind::InvalidReply, 1), "{error}");
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
    }
}

/// conf: M7, P36
#[tokio::test]
async fn an_empty_signature_is_an_error() {
    let script = Script::new([
        Answer::reply(&SignBlobResponse::default()),
        Answer::reply(&SignJwtResponse::default()),
    ]);
    let error = script.client().sign_blob(TARGET, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidReply);
    let error = script.client().sign_jwt(TARGET, &serde_json::json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidReply);
}

/// conf: P21, P24, P42
#[tokio::test]
async fn a_refusal_contains_the_servers_message_and_caches_no_token() {
    let script = Script::always(Answer::status(Code::PermissionDenied, "not allowed"));
    let acting = script.client().impersonate(TARGET).access_token(["email"]).unwrap();
    let error = acting.token().await.unwrap_err();
    assert!(error.to_string().contains("PERMISSION_DENIED: not allowed"), "{error}");
    assert_eq!(error.code(), Code::PermissionDenied);
    assert!(!acting.is_valid());
    assert!(acting.cached().is_none());
}

/// conf: R7, P45
#[tokio::test]
async fn an_id_token_expires_when_its_exp_claim_says() {
    let exp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 1234;
    let token = id_token(&serde_json::json!({ "exp": exp }));
    let script = Script::always(Answer::reply(&GenerateIdTokenResponse { token }));
    let token = script.client().generate_id_token(TARGET, "aud").await.unwrap();
    assert_eq!(token.expires_at(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(exp)));
}

/// conf: R1, P16
#[tokio::test]
async fn a_token_has_its_own_expiry_not_that_of_its_source() {
    let expiry = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let reply =
        GenerateAccessTokenResponse { access_token: "t".to_owned(), expire_time: Some(expiry.into()) };
    let script = Script::always(Answer::reply(&reply));
    let source = Token::new(SOURCE_TOKEN, SystemTime::now() + Duration::from_secs(600)).unwrap();
    let client = script.client_with(builder().credentials(gcp_iam_credentials::Credentials::fixed(source)));
    let acting = client.impersonate(TARGET).access_token(["email"]).unwrap();
    assert_eq!(acting.token().await.unwrap().expires_at(), Some(expiry));
}
