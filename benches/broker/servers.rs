//! The servers that are compared, each in a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use gcp_iam_credentials::broker::{Broker, BrokerServer, Policy, Socket};
use gcp_iam_credentials::{Credentials, IamCredentialsClient, ImpersonationPool, Token};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

use crate::measure::resident_of;
use crate::proto::authorization_server::{Authorization, AuthorizationServer};
use crate::proto::check_response::HttpResponse;
use crate::proto::{
    CheckRequest, CheckResponse, HeaderValue, HeaderValueOption, OkHttpResponse, Status as CheckStatus,
};

/// The argument by which this program runs as a server.
pub(crate) const ARGUMENT: &str = "server";

/// Which server a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Constant,
    Broker,
}

/// A server in another process.
pub(crate) struct ServerProcess {
    child: Child,
    socket: PathBuf,
}

impl ServerProcess {
    /// Starts a server, and waits until it listens.
    pub(crate) fn start(kind: Kind, folder: &Path, endpoint: &str) -> Self {
        let socket = folder.join(format!("{kind:?}.sock"));
        let child = Command::new(std::env::current_exe().unwrap())
            .args([ARGUMENT, &format!("{kind:?}"), socket.to_str().unwrap(), endpoint])
            .spawn()
            .unwrap();
        while !socket.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, socket }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns the processor time that the process has taken, to a hundredth of a second.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name of the program, in parentheses, may contain spaces.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Returns how much memory the process has.
    pub(crate) fn resident_mib(&self) -> f64 {
        resident_of(&self.child.id().to_string()).unwrap() as f64 / (1 << 20) as f64
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs as a server: kind, socket, and the URL of the API.
pub(crate) async fn serve(arguments: &[String]) {
    let [kind, socket, endpoint] = arguments else { panic!("kind, socket and endpoint") };
    if kind == "Constant" {
        let listener = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
        let server = tonic::transport::Server::builder().add_service(AuthorizationServer::new(Constant));
        server.serve_with_incoming(listener).await.unwrap();
        return;
    }
    let token = Token::new("source", None).unwrap();
    let client = IamCredentialsClient::builder().credentials(Credentials::fixed(token)).endpoint(endpoint);
    let _server = broker(client.build().unwrap(), Path::new(socket)).await;
    std::future::pending::<()>().await;
}

/// Starts a broker, and returns it with its pool.
pub(crate) async fn broker(client: IamCredentialsClient, socket: &Path) -> (ImpersonationPool, BrokerServer) {
    let policy = r#"{"grants": [
        {"callers": [{"principal": "spiffe://example.org/ns/other/*"}],
         "targets": ["other@project.iam.gserviceaccount.com"],
         "scopes": ["https://www.googleapis.com/auth/cloud-platform"]},
        {"callers": [{"principal": "spiffe://example.org/ns/shop/*"}],
         "targets": ["customer-*@project.iam.gserviceaccount.com"],
         "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}
    ]}"#;
    let pool = ImpersonationPool::builder(client).max_fetches_per_minute(0).build();
    let broker = Broker::new(pool.clone(), Policy::from_json(policy).unwrap());
    (pool, BrokerServer::builder(broker).listen(Socket::unix(socket)).start().await.unwrap())
}

/// Answers with a header that has the length of a token.
struct Constant;

#[tonic::async_trait]
impl Authorization for Constant {
    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let header = HeaderValue {
            key: "authorization".to_owned(),
            value: format!("Bearer {}", "x".repeat(220)),
            raw_value: Vec::new(),
        };
        let headers = vec![HeaderValueOption { header: Some(header), append_action: 2 }];
        Ok(Response::new(CheckResponse {
            status: Some(CheckStatus { code: 0, message: String::new() }),
            http_response: Some(HttpResponse::OkResponse(OkHttpResponse {
                headers,
                headers_to_remove: Vec::new(),
            })),
        }))
    }
}
