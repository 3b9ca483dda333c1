//! Clients of the emulator.

use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::proto::GenerateAccessTokenRequest;
use gcp_iam_credentials::proto::iam_credentials_client::IamCredentialsClient;
use gcp_iam_credentials::{scopes, service_account_path};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::scripted_service::fixed;

pub(crate) const EMAIL: &str = "sa@project.iam.gserviceaccount.com";

/// Starts an emulator without a policy.
pub(crate) async fn start() -> Emulator {
    Emulator::builder().start().await.unwrap()
}

/// Returns the seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Returns a client of the crate, with a fixed source token.
pub(crate) fn client_of(emulator: &Emulator) -> gcp_iam_credentials::IamCredentialsClient {
    let builder = gcp_iam_credentials::IamCredentialsClient::builder();
    builder.credentials(fixed()).endpoint(emulator.endpoint()).build().unwrap()
}

/// Returns the generated stub, without the crate's own client.
pub(crate) fn stub(emulator: &Emulator) -> IamCredentialsClient<Channel> {
    let endpoint = Channel::from_shared(emulator.endpoint().to_owned()).unwrap();
    IamCredentialsClient::new(endpoint.connect_lazy())
}

/// Returns a request with this bearer token.
pub(crate) fn with_bearer<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// Returns a valid request for an access token.
pub(crate) fn access_token(account: &str) -> GenerateAccessTokenRequest {
    GenerateAccessTokenRequest {
        name: service_account_path("-", account),
        scope: vec![scopes::CLOUD_PLATFORM.to_owned()],
        ..GenerateAccessTokenRequest::default()
    }
}

/// Requests an access token of [`EMAIL`], as whoever the bearer token `any` is.
pub(crate) async fn get_token(stub: &mut IamCredentialsClient<Channel>) -> Result<String, Status> {
    let reply = stub.generate_access_token(with_bearer(access_token(EMAIL), "any")).await?;
    Ok(reply.into_inner().access_token)
}

/// Sends one HTTP request and returns status, headers and body.
pub(crate) async fn http(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> (StatusCode, HeaderMap, Bytes) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let reply = client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
    let (head, body) = reply.into_parts();
    (head.status, head.headers, body.collect().await.unwrap().to_bytes())
}

/// Sends one HTTP request whose reply is JSON.
pub(crate) async fn json(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> (u16, Value) {
    let (status, _, body) = http(method, url, headers, body).await;
    let value = serde_json::from_slice(&body);
    (status.as_u16(), value.unwrap_or_else(|error| panic!("{method} {url}: {status}: {error}: {body:?}")))
}

/// Sends one HTTP request and returns status and body as text.
pub(crate) async fn text(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> (u16, String) {
    let (status, _, body) = http(method, url, headers, body).await;
    (status.as_u16(), String::from_utf8_lossy(&body).into_owned())
}

/// Sends `POST …:{verb}` for an account, and returns status and body.
pub(crate) async fn rest(
    emulator: &Emulator,
    account: &str,
    verb: &str,
    token: &str,
    body: &str,
) -> (u16, Value) {
    let url = format!("{}/v1/{}:{verb}", emulator.endpoint(), service_account_path("-", account));
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    json("POST", &url, &headers, body.to_owned()).await
}

/// Signs claims with the system-managed key of [`EMAIL`].
pub(crate) async fn signed_jwt(emulator: &Emulator, claims: &Value) -> String {
    let body = serde_json::json!({ "payload": claims.to_string() }).to_string();
    let (status, reply) = rest(emulator, EMAIL, "signJwt", "any", &body).await;
    assert_eq!(status, 200, "{reply}");
    reply["signedJwt"].as_str().unwrap().to_owned()
}

/// Signs the text of claims, valid or not, with the key in the key file of [`EMAIL`].
pub(crate) fn jwt_of_key_file(emulator: &Emulator, claims: &str) -> String {
    let file: Value = serde_json::from_str(&emulator.service_account_key_json(EMAIL)).unwrap();
    let key = PrivateKeyDer::from_pem_slice(file["private_key"].as_str().unwrap().as_bytes()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let signer = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).unwrap();
    let encode = |data: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(data);
    let signed = format!("{}.{}", encode(br#"{"alg":"RS256","typ":"JWT"}"#), encode(claims.as_bytes()));
    let signature = encode(&signer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}
