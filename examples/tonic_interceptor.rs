//! A tonic client that acts as another service account, by an interceptor.
//!
//! ```text
//! cargo run --example tonic_interceptor
//! ```
//!
//! For code that insists on `with_interceptor`; a layer can do more. Runs offline: the emulator
//! mints the tokens, and a health service on loopback stands for the API that is called.

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
        .credentials(Credentials::fixed(Token::new("whoever-runs-this", None)?))
        .endpoint(emulator.endpoint())
        .build()?;
    let acting =
        client.impersonate("deployer@example.iam.gserviceaccount.com").access_token([CLOUD_PLATFORM])?;
    let endpoint = api(emulator).await?;

    // Waits for the first token, since an interceptor cannot.
    let interceptor = acting.interceptor().await?;
    let channel = Channel::from_shared(endpoint)?.connect_lazy();
    let mut health = HealthClient::with_interceptor(channel, interceptor.clone());
    let reply = health.check(HealthCheckRequest::default()).await?;
    println!("served: {:?}", reply.into_inner().status());

    // Of a request that got no token, tonic shows the status, and this the reason.
    println!("last error: {:?}", interceptor.last_error());
    Ok(())
}

/// The API that is called. Returns where it is.
async fn api(emulator: Emulator) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let emulator = std::sync::Arc::new(emulator);
    let identify = InterceptorLayer::new(move |request: Request<()>| {
        let token = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let caller = emulator.verify_access_token(token).map(|caller| caller.principal);
        println!("  the API was called by {}", caller.as_deref().unwrap_or("a stranger"));
        Ok(request)
    });
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder().layer(identify).add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    Ok(format!("http://{address}"))
}
