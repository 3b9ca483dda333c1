//! Makes a tonic client act as another service account, with a layer around its channel.
//!
//! ```text
//! cargo run --example tonic_layer
//! ```
//!
//! The example runs offline: the emulator issues the tokens, and a health service on loopback acts
//! as the API. The service rejects the first token, to show that the layer replaces it.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gcp_iam_credentials::bearer::TokenError;
use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{Credentials, IamCredentialsClient, Token};
use tokio::net::TcpListener;
use tonic::service::interceptor::InterceptorLayer;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let emulator = Arc::new(Emulator::builder().start().await?);
    let endpoint = api(Arc::clone(&emulator)).await?;

    // To call Google's API, write `IamCredentialsClient::new()?` instead.
    let client = IamCredentialsClient::builder()
        .credentials(Credentials::fixed(Token::new("source-token", None)?))
        .endpoint(emulator.endpoint())
        .build()?;
    let acting =
        client.impersonate("deployer@example.iam.gserviceaccount.com").access_token([CLOUD_PLATFORM])?;
    let channel = Channel::from_shared(endpoint)?.connect_lazy();
    let channel = ServiceBuilder::new().layer(acting.layer()).service(channel);
    let mut health = HealthClient::new(channel.clone());

    // The API rejects the first token. The next call gets another one.
    for attempt in 1..=3 {
        match health.check(HealthCheckRequest::default()).await {
            Ok(_) => println!("call {attempt}: OK"),
            Err(status) => println!("call {attempt}: {:?}, {}", status.code(), status.message()),
        }
    }
    println!("tokens fetched: {}", acting.status().fetches());

    // Without a token, no request is sent. The status has a constant message, and its cause is in
    // the error chain.
    let broken = Credentials::from_fn(|| async { Err(gcp_iam_credentials::Error::permanent("no key file")) });
    let channel = ServiceBuilder::new()
        .layer(broken.layer())
        .service(Channel::from_static("http://[::1]:1").connect_lazy());
    if let Err(status) = HealthClient::new(channel).check(HealthCheckRequest::default()).await {
        println!("without a token: {:?}, {}", status.code(), status.message());
        println!("cause: {}", TokenError::find_in(&status).ok_or("the status has no cause")?);
    }
    Ok(())
}

/// Starts the API that is called, and returns its URL.
async fn api(emulator: Arc<Emulator>) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let is_first = AtomicBool::new(true);
    let identify = Arc::new(move |request: Request<()>| {
        let token = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let caller = emulator.verify_access_token(token);
        let caller = caller.ok_or_else(|| Status::unauthenticated("no valid token"))?;
        println!("  the API was called by {}", caller.principal());
        if is_first.swap(false, Ordering::Relaxed) {
            return Err(Status::unauthenticated("this token was revoked"));
        }
        Ok(request)
    });
    let (_, health) = tonic_health::server::health_reporter();
    let identify = InterceptorLayer::new(move |request| identify(request));
    let server = Server::builder().layer(identify).add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    Ok(format!("http://{address}"))
}
