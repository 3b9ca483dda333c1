use crate::call::TraceContext;
use crate::closed_port::ClosedPort;
use crate::emulator::{Emulator, Fault, Method as EmulatorMethod};
use crate::scopes::CLOUD_PLATFORM;
use crate::{Code, Credentials, ErrorKind, Token};

use super::*;

const EMAIL: &str = "sa@project.iam.gserviceaccount.com";

fn client_at(origin: &str) -> IamCredentialsClient {
    let url = format!("{origin}/v1/projects/-/serviceAccounts/{EMAIL}");
    let credentials = Credentials::fixed(Token::new("any", None).unwrap());
    let builder = IamCredentialsClient::builder().credentials(credentials).endpoint(origin);
    builder.build_over_rest(HttpClient::shared(), EMAIL, &url).unwrap()
}

/// conf: F8
#[tokio::test]
async fn all_four_methods_work_over_rest() {
    let emulator = Emulator::builder().start().await.unwrap();
    let client = client_at(emulator.endpoint());
    let token = client.generate_access_token(EMAIL, [CLOUD_PLATFORM]).await.unwrap();
    assert!(token.expires_at().is_some());
    let token = client.generate_id_token(EMAIL, "https://audience").include_email(true).await.unwrap();
    assert_eq!(token.secret().split('.').count(), 3);
    assert!(!client.sign_blob(EMAIL, "bytes").await.unwrap().signature().is_empty());
    let claims = serde_json::json!({"sub": EMAIL});
    assert_eq!(client.sign_jwt(EMAIL, &claims).await.unwrap().as_str().split('.').count(), 3);
    let error = client.sign_blob("other@project.iam.gserviceaccount.com", "x").await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
}

/// conf: F8
#[tokio::test]
async fn calls_over_rest_are_retried_and_refused_like_others() {
    let emulator = Emulator::builder().start().await.unwrap();
    let client = client_at(emulator.endpoint());
    let busy = Fault::status(Code::Unavailable).method(EmulatorMethod::GenerateAccessToken);
    emulator.faults().inject(busy.times(2));
    client.generate_access_token(EMAIL, [CLOUD_PLATFORM]).await.unwrap();
    emulator.faults().inject(Fault::status(Code::PermissionDenied));
    let error = client.generate_access_token(EMAIL, [CLOUD_PLATFORM]).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Service, Code::PermissionDenied), "{error}");

    let closed = ClosedPort::new();
    let client = client_at(&format!("http://{}", closed.address()));
    let call = client.sign_blob(EMAIL, "x").retry(crate::RetryPolicy::none());
    let error = call.await.unwrap_err();
    assert!(error.kind() == ErrorKind::Transport && error.is_transient(), "{error:?}");
}

/// conf: G55
#[tokio::test]
async fn calls_over_rest_send_the_trace_context_in_each_attempt() {
    let emulator = Emulator::builder().start().await.unwrap();
    let client = client_at(emulator.endpoint());
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let context = TraceContext::new(parent).unwrap().with_tracestate("vendor=opaque").unwrap();
    emulator.faults().inject(Fault::status(Code::Unavailable).times(1));
    client.sign_blob(EMAIL, "bytes").trace_context(context).await.unwrap();
    client.sign_blob(EMAIL, "bytes").await.unwrap();
    let journal = emulator.journal().entries();
    let sent: Vec<_> =
        journal.iter().map(|entry| (entry.header("traceparent"), entry.header("tracestate"))).collect();
    let expected = (Some(parent), Some("vendor=opaque"));
    assert_eq!(sent, [expected, expected, (None, None)]);
}
