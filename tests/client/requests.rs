//! What each call sends.

use std::time::Duration;

use gcp_iam_credentials::proto::*;
use gcp_iam_credentials::source::SourceInfo;
use gcp_iam_credentials::{scopes, service_account_path};

use crate::support::accounts::TARGET;
use crate::support::scripted_service::{SOURCE_TOKEN, Script, builder};
use crate::support::token_source::ScriptedSource;

const DELEGATES: [&str; 3] =
    ["first@project.iam.gserviceaccount.com", "1234567890", "projects/-/serviceAccounts/third@example.com"];

fn full_names() -> Vec<String> {
    ["first@project.iam.gserviceaccount.com", "1234567890", "third@example.com"]
        .map(|account| service_account_path("-", account))
        .to_vec()
}

fn path(method: &str) -> String {
    format!("/google.iam.credentials.v1.IAMCredentials/{method}")
}

/// conf: P29, M29, G59, P56, P44
#[tokio::test]
async fn generate_access_token_sends_its_arguments_and_its_delegates_in_order() {
    let script = Script::default();
    let call = script.client().generate_access_token(TARGET, [scopes::CLOUD_PLATFORM, scopes::IAM]);
    call.delegates(DELEGATES).lifetime(Duration::from_secs(300)).await.unwrap();
    let expected = GenerateAccessTokenRequest {
        name: service_account_path("-", TARGET),
        delegates: full_names(),
        scope: vec![scopes::CLOUD_PLATFORM.to_owned(), scopes::IAM.to_owned()],
        lifetime: Some(prost_types::Duration { seconds: 300, nanos: 0 }),
    };
    let sent = script.only_request();
    assert_eq!(sent.path, path("GenerateAccessToken"));
    assert_eq!(sent.decode::<GenerateAccessTokenRequest>(), expected);
}

/// conf: P29, M29, P44
#[tokio::test]
async fn generate_id_token_sends_its_arguments_and_its_delegates_in_order() {
    let script = Script::default();
    let call = script.client().generate_id_token(TARGET, "https://a.run.app");
    call.delegates(DELEGATES).include_email(true).await.unwrap();
    let expected = GenerateIdTokenRequest {
        name: service_account_path("-", TARGET),
        delegates: full_names(),
        audience: "https://a.run.app".to_owned(),
        include_email: true,
    };
    let sent = script.only_request();
    assert_eq!(sent.path, path("GenerateIdToken"));
    assert_eq!(sent.decode::<GenerateIdTokenRequest>(), expected);
}

/// conf: P29, M29
#[tokio::test]
async fn sign_blob_sends_its_bytes_and_its_delegates_in_order() {
    let script = Script::default();
    let call = script.client().sign_blob(TARGET, b"\x00\xff".as_slice());
    call.delegates(DELEGATES).await.unwrap();
    let expected = SignBlobRequest {
        name: service_account_path("-", TARGET),
        delegates: full_names(),
        payload: vec![0, 255],
    };
    let sent = script.only_request();
    assert_eq!(sent.path, path("SignBlob"));
    assert_eq!(sent.decode::<SignBlobRequest>(), expected);
}

/// conf: P29, M29
#[tokio::test]
async fn sign_jwt_sends_a_string_verbatim_and_its_delegates_in_order() {
    let script = Script::default();
    let payload = "{\"sub\": \"ü\"}";
    script.client().sign_jwt(TARGET, &payload).delegates(DELEGATES).await.unwrap();
    let expected = SignJwtRequest {
        name: service_account_path("-", TARGET),
        delegates: full_names(),
        payload: payload.to_owned(),
    };
    let sent = script.only_request();
    assert_eq!(sent.path, path("SignJwt"));
    assert_eq!(sent.decode::<SignJwtRequest>(), expected);
}

/// conf: R3, G75, P47, P5
#[tokio::test]
async fn nothing_is_sent_that_the_caller_did_not_set() {
    let script = Script::default();
    let client = script.client();
    client.generate_access_token(TARGET, [scopes::PUBSUB]).await.unwrap();
    client.generate_id_token(TARGET, "aud").await.unwrap();
    let access: GenerateAccessTokenRequest = script.received()[0].decode();
    assert_eq!(
        (access.scope, access.lifetime, access.delegates),
        (vec![scopes::PUBSUB.to_owned()], None, vec![])
    );
    let id: GenerateIdTokenRequest = script.received()[1].decode();
    assert!(!id.include_email);
}

/// conf: P62, G5, G1, R11
#[tokio::test]
async fn every_call_sends_routing_authorization_and_versions_once() {
    let script = Script::default();
    let client = script.client();
    client.generate_access_token(TARGET, ["email"]).await.unwrap();
    client.generate_id_token(TARGET, "aud").await.unwrap();
    client.sign_blob(TARGET, "").await.unwrap();
    client.sign_jwt(TARGET, &serde_json::json!({})).await.unwrap();
    assert_eq!(script.calls(), 4);
    for seen in script.received() {
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
async fn impersonated_credentials_send_exactly_their_request_and_credential_type() {
    let script = Script::default();
    let acting =
        script.client().impersonate(TARGET).delegates(DELEGATES).access_token(["email", "openid"]).unwrap();
    let token = acting.token().await.unwrap();
    assert_eq!(token.secret(), format!("token-of-{TARGET}"));
    let seen = script.only_request();
    let request: GenerateAccessTokenRequest = seen.decode();
    assert_eq!(
        request,
        GenerateAccessTokenRequest {
            name: service_account_path("-", TARGET),
            delegates: full_names(),
            scope: vec!["email".to_owned(), "openid".to_owned()],
            lifetime: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
        }
    );
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {SOURCE_TOKEN}").as_str()));
    let versions = seen.header("x-goog-api-client").unwrap();
    assert!(versions.ends_with(" auth-request-type/at cred-type/imp"), "{versions}");

    let script = Script::default();
    let acting = script.client().impersonate(TARGET).include_email(true).id_token("aud").unwrap();
    acting.token().await.unwrap();
    let versions = script.only_request().header("x-goog-api-client").unwrap().to_owned();
    assert!(versions.ends_with(" auth-request-type/it cred-type/imp"), "{versions}");
}

/// conf: G10, G11, G12, P32
#[tokio::test]
async fn the_quota_project_is_sent_if_one_is_set() {
    let script = Script::default();
    script.client().sign_blob(TARGET, "").await.unwrap();
    assert_eq!(script.only_request().header("x-goog-user-project"), None);

    let script = Script::default();
    script.client_with(builder().quota_project("billing")).sign_blob(TARGET, "").await.unwrap();
    assert_eq!(script.only_request().header("x-goog-user-project"), Some("billing"));

    let info = || SourceInfo::new().with_quota_project("from-the-file");
    let billed = || builder().credentials(ScriptedSource::numbered().with_info(info()).credentials());
    for (builder, project) in [(billed(), "from-the-file"), (billed().quota_project("billing"), "billing")] {
        let script = Script::default();
        script.client_with(builder).sign_blob(TARGET, "").await.unwrap();
        assert_eq!(script.only_request().header("x-goog-user-project"), Some(project));
    }
}

/// conf: G13, G14, P65
#[tokio::test]
async fn the_callers_metadata_is_added() {
    let script = Script::default();
    let call = script.client().sign_blob(TARGET, "").metadata("x-request-id", "one two");
    call.metadata("X-Goog-Trace", "abc").await.unwrap();
    assert_eq!(script.only_request().header("x-request-id"), Some("one two"));
    assert_eq!(script.only_request().header("x-goog-trace"), Some("abc"));
}

/// conf: P65
#[tokio::test]
async fn a_call_outlives_the_client_that_made_it() {
    let script = Script::default();
    let client = script.client();
    let clone = client.clone();
    drop(client);
    let call = clone.sign_blob(TARGET, "");
    drop(clone);
    call.await.unwrap();
}

/// conf: P64
#[tokio::test]
async fn the_generated_stub_sends_an_empty_request_unmodified() {
    let script = Script::default();
    let mut stub = iam_credentials_client::IamCredentialsClient::with_origin(
        Infallible(script.service()),
        http::Uri::from_static("http://127.0.0.1:1"),
    );
    stub.sign_blob(SignBlobRequest::default()).await.unwrap();
    let seen = script.only_request();
    assert!(seen.message.is_empty());
    assert_eq!(seen.header("authorization"), None);
}

/// Gives the scripted service an error type that the generated stub accepts.
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
