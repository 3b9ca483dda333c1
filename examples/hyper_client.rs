//! A hyper client that calls Cloud Run with ID tokens of another service account.
//!
//! ```text
//! cargo run --example hyper_client
//! ```
//!
//! Runs offline: the emulator mints the tokens, and a server on loopback stands for the service on
//! Cloud Run. The token goes into `x-serverless-authorization`, so that `authorization` stays free
//! for the application behind.

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
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt};

const HEADER: HeaderName = HeaderName::from_static("x-serverless-authorization");
const AUDIENCE: &str = "https://my-service.run.app";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let emulator = Arc::new(Emulator::builder().start().await?);
    let client = IamCredentialsClient::builder()
        .credentials(Credentials::fixed(Token::new("whoever-runs-this", None)?))
        .endpoint(emulator.endpoint())
        .build()?;
    let caller = client
        .impersonate("caller@example.iam.gserviceaccount.com")
        .include_email(true)
        .id_token(AUDIENCE)?;
    let endpoint = cloud_run(emulator).await?;

    // With real hosts this would be `allow_hosts(["my-service.run.app"])`.
    let layer = caller.layer().header_name(HEADER).allow_hosts(["127.0.0.1"]);
    let mut http = layer.layer(Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>());

    let request =
        Request::get(endpoint).header("authorization", "Bearer of-the-application").body(Empty::new())?;
    let reply = http.ready().await?.call(request).await?;
    println!(
        "{}: {}",
        reply.status(),
        String::from_utf8_lossy(&reply.into_body().collect().await?.to_bytes())
    );

    // The token goes to no other host.
    let astray = Request::get("https://evil.example/").body(Empty::new())?;
    match http.ready().await?.call(astray).await {
        Err(BearerError::Token(error)) => println!("not sent: {}", error.cause()),
        other => return Err(format!("sent astray: {other:?}").into()),
    }
    Ok(())
}

/// A service that says who calls it. Returns where it is.
async fn cloud_run(emulator: Arc<Emulator>) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let token = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let claims = emulator.verify_id_token(token).filter(|claims| claims["aud"] == AUDIENCE);
        let (status, text) = match claims {
            Some(claims) => (StatusCode::OK, format!("you are {}", claims["email"])),
            None => (StatusCode::UNAUTHORIZED, "who are you?".to_owned()),
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
