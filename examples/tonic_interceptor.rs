//! Makes a tonic client act as another service account, with an interceptor.
//!
//! ```text
//! cargo run --example tonic_interceptor
//! ```
//!
//! Use the interceptor if the channel's type must not change; the layer can do more. The example
//! runs offline: the emulator issues the tokens, and a health service on loopback acts as the API.

use std::error::Error;

use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{Credentials, IamCredentialsClient, Token};
use tokio::net::TcpListener;
use tonic::Request;
use tonic::service::interceptor::InterceptorLayer;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let emulator = Emulator::builder().start().await?;
    let client = IamCredentialsClient::builder()
        .credentials(Credentials::fixed(Token::new("source-token", None)?))
        .endpoint(emulator.endpoint())
        .build()?;
    let acting =
        client.impersonate("deployer@example.iam.gserviceaccount.com").access_token([CLOUD_PLATFORM])?;
    let endpoint = api(emulator).await?;

    // This waits for the first token, because the interceptor itself can't wait.
    let interceptor = acting.interceptor().await?;
    let channel = Channel::from_shared(endpoint)?.connect_lazy();
    let mut health = HealthClient::with_interceptor(channel, interceptor.clone());
    let reply = health.check(HealthCheckRequest::default()).await?;
    println!("the API replied: {:?}", reply.into_inner().status());

    // If a request gets no token, tonic returns only a status. This is the error that caused it.
    println!("last error: {:?}", interceptor.last_error());
    Ok(())
}

/// Starts the API that is called, and returns its URL.
async fn api(emulator: Emulator) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let emulator = std::sync::Arc::new(emulator);
    let identify = InterceptorLayer::new(move |request: Request<()>| {
        let token = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let caller = emulator.verify_access_token(token);
        let caller = caller.as_ref().map(|caller| caller.principal());
        println!("  the API was called by {}", caller.unwrap_or("an unknown caller"));
        Ok(request)
    });
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder().layer(identify).add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    Ok(format!("http://{address}"))
}
