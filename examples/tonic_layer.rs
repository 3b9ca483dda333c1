//! A tonic client that acts as another service account, by a layer around its channel.
//!
//! ```text
//! cargo run --example tonic_layer
//! ```
//!
//! Runs offline: the emulator mints the tokens, and a health service on loopback stands for the
//! API that is called. It tells by the token who calls, and refuses one token to show what follows.

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

    // With `IamCredentialsClient::new()?` instead, this is what it takes with Google's API.
    let client = IamCredentialsClient::builder()
        .credentials(Credentials::fixed(Token::new("whoever-runs-this", None)?))
        .endpoint(emulator.endpoint())
        .build()?;
    let acting =
        client.impersonate("deployer@example.iam.gserviceaccount.com").access_token([CLOUD_PLATFORM])?;
    let channel = Channel::from_shared(endpoint)?.connect_lazy();
    let channel = ServiceBuilder::new().layer(acting.layer()).service(channel);
    let mut health = HealthClient::new(channel.clone());

    // The API refuses the first token, which is then replaced: the next call has another.
    for attempt in 1..=3 {
        match health.check(HealthCheckRequest::default()).await {
            Ok(_) => println!("call {attempt}: served"),
            Err(status) => println!("call {attempt}: {:?}, {}", status.code(), status.message()),
        }
    }
    println!("tokens minted: {}", acting.status().fetches());

    // No token, no call: the status is fit to be handed on, and the cause is behind it.
    let broken = Credentials::from_fn(|| async { Err(gcp_iam_credentials::Error::permanent("no key file")) });
    let channel = ServiceBuilder::new()
        .layer(broken.layer())
        .service(Channel::from_static("http://[::1]:1").connect_lazy());
    if let Err(status) = HealthClient::new(channel).check(HealthCheckRequest::default()).await {
        println!("without a source: {:?}, {}", status.code(), status.message());
        println!("because: {}", TokenError::find_in(&status).ok_or("the cause is lost")?);
    }
    Ok(())
}

/// The API that is called. Returns where it is.
async fn api(emulator: Arc<Emulator>) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let is_first = AtomicBool::new(true);
    let identify = Arc::new(move |request: Request<()>| {
        let token = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let caller = emulator.verify_access_token(token);
        let caller = caller.ok_or_else(|| Status::unauthenticated("who are you?"))?;
        println!("  the API was called by {}", caller.principal);
        if is_first.swap(false, Ordering::Relaxed) {
            return Err(Status::unauthenticated("this token is revoked"));
        }
        Ok(request)
    });
    let (_, health) = tonic_health::server::health_reporter();
    let identify = InterceptorLayer::new(move |request| identify(request));
    let server = Server::builder().layer(identify).add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    Ok(format!("http://{address}"))
}
