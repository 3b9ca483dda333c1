//! Makes a hyper client call Cloud Run with ID tokens of another service account.
//!
//! ```text
//! cargo run --example hyper_client
//! ```
//!
//! The example runs offline: the emulator issues the tokens, and a server on loopback acts as Cloud
//! Run. The token is sent in `x-serverless-authorization`, because `authorization` belongs to the
//! application behind Cloud Run.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use gcp_iam_credentials::bearer::BearerError;
use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::{Credentials, IamCredentialsClient, Token};
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt};

const HEADER: HeaderName = HeaderName::from_static("x-serverless-authorization");
const AUDIENCE: &str = "https://my-service.run.app";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let emulator = Arc::new(Emulator::builder().start().await?);
    let client = IamCredentialsClient::builder()
        .credentials(Credentials::fixed(Token::new("source-token", None)?))
        .endpoint(emulator.endpoint())
        .build()?;
    let caller = client
        .impersonate("caller@example.iam.gserviceaccount.com")
        .include_email(true)
        .id_token(AUDIENCE)?;
    let endpoint = cloud_run(emulator).await?;

    // For a real service, write `allow_hosts(["my-service.run.app"])`.
    let layer = caller.layer().header_name(HEADER).allow_hosts(["127.0.0.1"]);
    let mut http = layer.layer(Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>());

    let request = Request::get(endpoint)
        .header("authorization", "Bearer token-of-the-application")
        .body(Empty::new())?;
    let reply = http.ready().await?.call(request).await?;
    println!(
        "{}: {}",
        reply.status(),
        String::from_utf8_lossy(&reply.into_body().collect().await?.to_bytes())
    );

    // The token isn't sent to any other host.
    let other_host = Request::get("https://other.example.com/").body(Empty::new())?;
    match http.ready().await?.call(other_host).await {
        Err(BearerError::Token(error)) => println!("not sent: {}", error.cause()),
        other => return Err(format!("the token was sent to another host: {other:?}").into()),
    }
    Ok(())
}

/// Starts a service that tells callers who they are, and returns its URL.
async fn cloud_run(emulator: Arc<Emulator>) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let token = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let claims = emulator.verify_id_token::<Value>(token);
        let claims = claims.filter(|claims| claims["aud"] == AUDIENCE);
        let (status, text) = match claims {
            Some(claims) => (StatusCode::OK, format!("you are {}", claims["email"])),
            None => (StatusCode::UNAUTHORIZED, "no valid ID token".to_owned()),
        };
        let mut reply = Response::new(Full::new(Bytes::from(text)));
        *reply.status_mut() = status;
        std::future::ready(Ok::<_, Infallible>(reply))
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service.clone());
            tokio::spawn(connection);
        }
    });
    Ok(format!("http://{address}/"))
}
