//! What each call sends, and what it makes of the reply.

use std::time::{Duration, SystemTime};

use crate::support::scripted_service::{Answer, SOURCE_TOKEN, Script, TARGET, builder, id_token};
use crate::support::token_source::ScriptedSource;
use gcp_iam_credentials::proto::*;
use gcp_iam_credentials::{
    Error, ErrorKind, IamCredentialsClient, SourceInfo, Token, scopes, service_account_path,
};
use tonic::Code;

const DELEGATES: [&str; 3] =
    ["first@project.iam.gserviceaccount.com", "1234567890", "projects/-/serviceAccounts/third@example.com"];

fn full_names() -> Vec<String> {
    ["first@project.iam.gserviceaccount.com", "1234567890", "third@example.com"]
        .map(|account| service_account_path("-", account))
        .to_vec()
}

/// conf: P29, M29, G59, P56, P44
#[tokio::test]
async fn every_call_sends_its_arguments_and_the_delegates_in_order_as_full_names() {
    let script = Script::default();
    let client = script.client();
    client
        .generate_access_token(TARGET, [scopes::CLOUD_PLATFORM, scopes::IAM])
        .delegates(DELEGATES)
        .lifetime(Duration::from_secs(300))
        .await
        .unwrap();
    client
        .generate_id_token(TARGET, "https://a.run.app")
        .delegates(DELEGATES)
        .include_email(true)
        .await
        .unwrap();
    client.sign_blob(TARGET, b"\x00\xff".as_slice()).delegates(DELEGATES).await.unwrap();
    client.sign_jwt(TARGET, &"{\"sub\": \"ü\"}").delegates(DELEGATES).await.unwrap();

    let seen = script.seen();
    let name = service_account_path("-", TARGET);
    let delegates = full_names();
    let access: GenerateAccessTokenRequest = seen[0].decode();
    assert_eq!(
        access,
        GenerateAccessTokenRequest {
            name: name.clone(),
            delegates: delegates.clone(),
            scope: vec![scopes::CLOUD_PLATFORM.to_owned(), scopes::IAM.to_owned()],
            lifetime: Some(prost_types::Duration { seconds: 300, nanos: 0 }),
        }
    );
    let id: GenerateIdTokenRequest = seen[1].decode();
    assert_eq!(
        id,
        GenerateIdTokenRequest {
            name: name.clone(),
            delegates: delegates.clone(),
            audience: "https://a.run.app".to_owned(),
            include_email: true,
        }
    );
    let blob: SignBlobRequest = seen[2].decode();
    assert_eq!(
        blob,
        SignBlobRequest { name: name.clone(), delegates: delegates.clone(), payload: vec![0, 255] }
    );
    let jwt: SignJwtRequest = seen[3].decode();
    assert_eq!(jwt, SignJwtRequest { name, delegates, payload: "{\"sub\": \"ü\"}".to_owned() });
    let paths: Vec<&str> = seen.iter().map(|seen| seen.path.as_str()).collect();
    assert_eq!(
        paths,
        ["GenerateAccessToken", "GenerateIdToken", "SignBlob", "SignJwt"]
            .map(|method| format!("/google.iam.credentials.v1.IAMCredentials/{method}"))
    );
}

/// conf: R3, G75, P47, P5
#[tokio::test]
async fn nothing_is_added_that_was_not_asked_for() {
    let script = Script::default();
    let client = script.client();
    client.generate_access_token(TARGET, [scopes::PUBSUB]).await.unwrap();
    client.generate_id_token(TARGET, "aud").await.unwrap();
    let access: GenerateAccessTokenRequest = script.seen()[0].decode();
    assert_eq!(
        (access.scope, access.lifetime, access.delegates),
        (vec![scopes::PUBSUB.to_owned()], None, vec![])
    );
    let id: GenerateIdTokenRequest = script.seen()[1].decode();
    assert!(!id.include_email);
}

/// conf: P62, G5, G1, R11
#[tokio::test]
async fn every_call_carries_the_route_the_bearer_and_the_versions_once() {
    let script = Script::default();
    let client = script.client();
    client.generate_access_token(TARGET, ["scope"]).await.unwrap();
    client.generate_id_token(TARGET, "aud").await.unwrap();
    client.sign_blob(TARGET, "").await.unwrap();
    client.sign_jwt(TARGET, &serde_json::json!({})).await.unwrap();
    assert_eq!(script.calls(), 4);
    for seen in script.seen() {
        let route = seen.header("x-goog-request-params").unwrap();
        assert_eq!(route, "name=projects%2F-%2FserviceAccounts%2Ftarget%40project.iam.gserviceaccount.com");
        assert_eq!(seen.header("authorization"), Some(format!("Bearer {SOURCE_TOKEN}").as_str()));
        let versions: Vec<&str> = seen.header("x-goog-api-client").unwrap().split(' ').collect();
        for (part, name) in versions.iter().zip(["gl-rust/", "gapic/", "grpc/"]) {
            let version = part.strip_prefix(name).unwrap();
            assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{part}");
        }
        assert_eq!(versions.len(), 3);
    }
}

/// conf: P14, P31, G65, P44
#[tokio::test]
async fn impersonated_credentials_send_exactly_their_request_and_say_what_they_are() {
    let script = Script::default();
    let acting = script.client().impersonate(TARGET).delegates(DELEGATES).access_token(["a", "b"]).unwrap();
    let token = acting.token().await.unwrap();
    assert_eq!(token.secret(), format!("token-of-{TARGET}"));
    let seen = script.only();
    let request: GenerateAccessTokenRequest = seen.decode();
    assert_eq!(
        request,
        GenerateAccessTokenRequest {
            name: service_account_path("-", TARGET),
            delegates: full_names(),
            scope: vec!["a".to_owned(), "b".to_owned()],
            lifetime: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
        }
    );
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {SOURCE_TOKEN}").as_str()));
    let versions = seen.header("x-goog-api-client").unwrap();
    assert!(versions.ends_with(" auth-request-type/at cred-type/imp"), "{versions}");

    let script = Script::default();
    let acting = script.client().impersonate(TARGET).include_email(true).id_token("aud").unwrap();
    acting.token().await.unwrap();
    let versions = script.only().header("x-goog-api-client").unwrap().to_owned();
    assert!(versions.ends_with(" auth-request-type/it cred-type/imp"), "{versions}");
}

/// conf: G10, G11, G12, P32
#[tokio::test]
async fn the_quota_project_is_sent_where_one_is_set() {
    let script = Script::default();
    script.client().sign_blob(TARGET, "").await.unwrap();
    assert_eq!(script.only().header("x-goog-user-project"), None);

    let script = Script::default();
    script.client_with(builder().quota_project("billing")).sign_blob(TARGET, "").await.unwrap();
    assert_eq!(script.only().header("x-goog-user-project"), Some("billing"));

    let info = || SourceInfo::new().quota_project("from-the-file");
    let billed = || builder().credentials(ScriptedSource::numbered().with_info(info()).credentials());
    for (builder, project) in [(billed(), "from-the-file"), (billed().quota_project("billing"), "billing")] {
        let script = Script::default();
        script.client_with(builder).sign_blob(TARGET, "").await.unwrap();
        assert_eq!(script.only().header("x-goog-user-project"), Some(project));
    }
}

/// conf: G13, G14, P65
#[tokio::test]
async fn the_callers_metadata_is_added() {
    let script = Script::default();
    let call = script.client().sign_blob(TARGET, "").metadata("x-request-id", "one two");
    call.metadata("X-Goog-Trace", "abc").await.unwrap();
    assert_eq!(script.only().header("x-request-id"), Some("one two"));
    assert_eq!(script.only().header("x-goog-trace"), Some("abc"));
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

/// conf: P2, P3, P4, P9, P43, P26
#[tokio::test]
async fn bad_input_names_its_field_and_nothing_is_sent() {
    let script = Script::default();
    let client = script.client();
    let none: [&str; 0] = [];
    let seconds = Duration::from_secs;
    let outcomes: Vec<(&str, Result<(), Error>)> = vec![
        ("target", client.generate_access_token("nobody", ["s"]).await.map(drop)),
        ("target", client.generate_id_token("", "aud").await.map(drop)),
        ("target", client.sign_blob("a b@c", "").await.map(drop)),
        ("target", client.sign_jwt("a/b", &serde_json::json!({})).await.map(drop)),
        ("scopes", client.generate_access_token(TARGET, none).await.map(drop)),
        ("scopes[1]", client.generate_access_token(TARGET, ["a", ""]).await.map(drop)),
        ("delegates[1]", client.sign_blob(TARGET, "").delegates(["a@b.c", "nobody"]).await.map(drop)),
        ("lifetime", client.generate_access_token(TARGET, ["s"]).lifetime(Duration::ZERO).await.map(drop)),
        ("lifetime", client.generate_access_token(TARGET, ["s"]).lifetime(seconds(43_201)).await.map(drop)),
        ("lifetime", client.generate_access_token(TARGET, ["s"]).lifetime(Duration::MAX).await.map(drop)),
        ("audience", client.generate_id_token(TARGET, "").await.map(drop)),
        ("audience", client.generate_id_token(TARGET, " ").await.map(drop)),
        ("claims", client.sign_jwt(TARGET, &[1]).await.map(drop)),
        ("claims.exp", client.sign_jwt(TARGET, &serde_json::json!({"exp": 1.5})).await.map(drop)),
        ("claims.exp", client.sign_jwt(TARGET, &serde_json::json!({"exp": u64::MAX})).await.map(drop)),
        ("target", client.impersonate("nobody").access_token(["s"]).map(drop)),
        ("scopes", client.impersonate(TARGET).access_token(none).map(drop)),
        ("lifetime", client.impersonate(TARGET).lifetime(seconds(43_210)).access_token(["s"]).map(drop)),
        ("delegates[0]", client.impersonate(TARGET).delegates(["-"]).id_token("aud").map(drop)),
        ("audience", client.impersonate(TARGET).id_token("").map(drop)),
        ("include_email", client.impersonate(TARGET).include_email(true).access_token(["s"]).map(drop)),
        ("lifetime", client.impersonate(TARGET).lifetime(seconds(60)).id_token("aud").map(drop)),
    ];
    for (field, outcome) in outcomes {
        let error = outcome.expect_err(field);
        assert_eq!(error.field(), Some(field), "{error}");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(!error.is_transient());
        assert!(error.to_string().contains(field), "{error}");
    }
    client.generate_access_token(TARGET, ["s"]).lifetime(seconds(1)).await.unwrap();
    client.generate_access_token(TARGET, ["s"]).lifetime(seconds(43_200)).await.unwrap();
    assert_eq!(script.calls(), 2);
}

/// conf: P64
#[tokio::test]
async fn an_empty_request_goes_through_the_raw_stub_unmodified() {
    let script = Script::default();
    let mut stub = iam_credentials_client::IamCredentialsClient::with_origin(
        Infallible(script.service()),
        http::Uri::from_static("http://127.0.0.1:1"),
    );
    stub.sign_blob(SignBlobRequest::default()).await.unwrap();
    let seen = script.only();
    assert!(seen.message.is_empty());
    assert_eq!(seen.header("authorization"), None);
}

/// The raw stub wants an error that is no `Status`.
#[derive(Clone)]
struct Infallible<S>(S);

impl<S> tower::Service<http::Request<tonic::body::Body>> for Infallible<S>
where
    S: tower::Service<http::Request<tonic::body::Body>, Error = tonic::Status>,
{
    type Response = S::Response;
    type Error = tonic::Status;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        self.0.call(request)
    }
}

/// conf: M25
#[tokio::test]
async fn sizes_from_nothing_to_a_mebibyte_go_through() {
    let script = Script::default();
    let server = script.serve().await;
    let client = server.client();
    for size in [0, 1, 1 << 20] {
        let blob = client.sign_blob(TARGET, vec![7; size]).await.unwrap();
        assert_eq!(blob.signature(), [b"signed ".as_slice(), &(size as u64).to_be_bytes()].concat());
        assert_eq!(blob.key_id(), "key-1");
        let sent: SignBlobRequest = script.seen().last().unwrap().decode();
        assert_eq!(sent.payload, vec![7; size]);
    }
    let claims = serde_json::json!({"name": "Zoë Ångström 東京 🦀"});
    client.sign_jwt(TARGET, &claims).await.unwrap();
    let sent: SignJwtRequest = script.seen().last().unwrap().decode();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&sent.payload).unwrap(), claims);

    let access_token = "t".repeat(16 * 1024);
    let expire_time = Some((SystemTime::now() + Duration::from_secs(60)).into());
    let reply = GenerateAccessTokenResponse { access_token: access_token.clone(), expire_time };
    script.answer_from_now(Answer::reply(&reply));
    let token = client.generate_access_token(TARGET, ["s"]).await.unwrap();
    assert_eq!(token.secret(), access_token);
}

/// conf: M7, P22, P23, P36, P48, G68
#[tokio::test]
async fn a_reply_that_makes_no_sense_is_a_lasting_error_about_the_call() {
    let in_an_hour = || Some((SystemTime::now() + Duration::from_secs(3600)).into());
    let access = |access_token: &str, expire_time| {
        Answer::reply(&GenerateAccessTokenResponse { access_token: access_token.to_owned(), expire_time })
    };
    let at = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    for answer in [
        access("", in_an_hour()),
        access("hidden token", in_an_hour()),
        access("hidden", None),
        access("hidden", at(1, 0)),
        access("hidden", at(-1, 0)),
        access("hidden", at(4_000_000_000, -5)),
        access("hidden", at(4_000_000_000, i32::MAX)),
    ] {
        let script = Script::always(answer);
        let error = script.client().generate_access_token(TARGET, ["s"]).await.unwrap_err();
        assert_eq!((error.kind(), script.calls()), (ErrorKind::InvalidReply, 1), "{error}");
        assert!(!error.is_transient());
        assert!(error.to_string().starts_with(&format!("generate_access_token for {TARGET}")), "{error}");
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
    }
    let far = Script::always(access("token", at(253_402_300_799, 0)));
    far.client().generate_access_token(TARGET, ["s"]).await.unwrap();

    let id = |token: String| Answer::reply(&GenerateIdTokenResponse { token });
    for token in [
        String::new(),
        "hidden".to_owned(),
        id_token(&serde_json::json!({"aud": "hidden"})),
        id_token(&serde_json::json!({"exp": 1})),
        id_token(&serde_json::json!({"exp": "hidden"})),
    ] {
        let script = Script::always(id(token));
        let error = script.client().generate_id_token(TARGET, "aud").await.unwrap_err();
        assert_eq!((error.kind(), script.calls()), (ErrorKind::InvalidReply, 1), "{error}");
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
    }

    let unsigned = Script::new([
        Answer::reply(&SignBlobResponse::default()),
        Answer::reply(&SignJwtResponse::default()),
    ]);
    let error = unsigned.client().sign_blob(TARGET, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidReply);
    let error = unsigned.client().sign_jwt(TARGET, &serde_json::json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidReply);
}

/// conf: P21, P24, P42
#[tokio::test]
async fn a_refusal_carries_the_servers_words_and_leaves_no_token() {
    let script = Script::always(Answer::status(Code::PermissionDenied, "not you, sir"));
    let acting = script.client().impersonate(TARGET).access_token(["s"]).unwrap();
    let error = acting.token().await.unwrap_err();
    assert!(error.to_string().contains("PERMISSION_DENIED: not you, sir"), "{error}");
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
async fn a_token_has_its_own_expiry_and_not_its_sources() {
    let expiry = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let reply =
        GenerateAccessTokenResponse { access_token: "t".to_owned(), expire_time: Some(expiry.into()) };
    let script = Script::always(Answer::reply(&reply));
    let source = Token::new(SOURCE_TOKEN, SystemTime::now() + Duration::from_secs(600)).unwrap();
    let client = script.client_with(builder().credentials(gcp_iam_credentials::Credentials::fixed(source)));
    let acting = client.impersonate(TARGET).access_token(["s"]).unwrap();
    assert_eq!(acting.token().await.unwrap().expires_at(), Some(expiry));
}

/// conf: P65
#[tokio::test]
async fn a_client_can_be_dropped_and_cloned_at_will() {
    let script = Script::default();
    let client = script.client();
    let clone = client.clone();
    drop(client);
    let call = clone.sign_blob(TARGET, "");
    drop(clone);
    call.await.unwrap();
}

#[test]
fn a_call_outside_a_runtime_is_an_error_and_no_panic() {
    let client: IamCredentialsClient = Script::default().client();
    let mut call = std::pin::pin!(std::future::IntoFuture::into_future(client.sign_blob(TARGET, "")));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match call.as_mut().poll(&mut context) {
        std::task::Poll::Ready(Err(error)) => assert_eq!(error.field(), Some("runtime")),
        other => panic!("{other:?}"),
    }
}
