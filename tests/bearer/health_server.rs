//! A gRPC server for tests: the health service, behind a check of the token.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tonic::service::interceptor::InterceptorLayer;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;

pub(crate) struct HealthServer {
    address: SocketAddr,
    authorizations: Arc<Mutex<Vec<String>>>,
}

impl HealthServer {
    /// Starts a server that accepts every token.
    pub(crate) async fn start() -> Self {
        Self::accepting(|_| true).await
    }

    /// Starts a server that answers `UNAUTHENTICATED` to every request without one accepted token.
    pub(crate) async fn accepting(accepts: fn(&str) -> bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let authorizations = Arc::default();
        let seen: Arc<Mutex<Vec<String>>> = Arc::clone(&authorizations);
        let check = move |request: Request<()>| {
            let values = request.metadata().get_all("authorization");
            let values: Vec<_> = values.iter().map(|value| value.to_str().unwrap().to_owned()).collect();
            let accepted = matches!(&values[..], [value] if accepts(value));
            seen.lock().unwrap().extend(values);
            if accepted { Ok(request) } else { Err(Status::unauthenticated("by the API")) }
        };
        let (_, service) = tonic_health::server::health_reporter();
        let server = Server::builder().layer(InterceptorLayer::new(check)).add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        Self { address, authorizations }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap()
    }

    /// Returns every value of `authorization` that arrived, in order.
    pub(crate) fn authorizations(&self) -> Vec<String> {
        self.authorizations.lock().unwrap().clone()
    }
}

/// Returns a request for the health of the whole server.
pub(crate) fn whole_server() -> HealthCheckRequest {
    HealthCheckRequest { service: String::new() }
}
