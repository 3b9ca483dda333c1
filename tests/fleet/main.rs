//! The server of the broker, above an emulator.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/envoy_messages.rs"]
mod proto;
#[path = "../support/mod.rs"]
mod support;

mod connections;
mod envoy;
mod exchange;
mod metadata;
mod operations;
mod outage;
mod random_requests;
mod reload;
mod start;
#[cfg(feature = "_tls")]
mod tls;

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use gcp_iam_credentials::ImpersonationPool;
use gcp_iam_credentials::broker::{Broker, BrokerServer, BrokerServerBuilder, Policy, Socket};
use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::proto::authorization_client::AuthorizationClient;
use crate::support::emulator::client_of;

const SHOP: &str = "shop@project.iam.gserviceaccount.com";
const BANK: &str = "bank@project.iam.gserviceaccount.com";
/// The identity of a program behind an Envoy.
const WEB: &str = "spiffe://example.org/ns/shop/sa/web";
/// The identity of an Envoy.
const ENVOY: &str = "spiffe://example.org/ns/mesh/sa/envoy";

/// Returns the user of this process.
fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

/// Returns a policy with these grants, and an Envoy as a peer.
fn policy(grants: &[String]) -> Policy {
    let text = format!(
        r#"{{"peers": [{{"principal": "{ENVOY}"}}], "targetHeader": "x-act-as", "grants": [{}]}}"#,
        grants.join(", ")
    );
    Policy::from_json(&text).expect(&text)
}

/// Returns a grant of access tokens and ID tokens.
fn grant(caller: &str, target: &str) -> String {
    format!(
        r#"{{"callers": [{caller}], "targets": ["{target}"], "scopes": ["{CLOUD_PLATFORM}"], "audiences": ["https://*.run.app"]}}"#
    )
}

/// Returns the grant that lets programs with the identity [`WEB`] act as [`SHOP`].
fn web_grant() -> String {
    grant(&format!(r#"{{"principal": "{WEB}"}}"#), SHOP)
}

/// Returns the grant that lets processes of this user act as an account.
fn own_grant(target: &str) -> String {
    grant(&format!(r#"{{"uid": {}}}"#, own_uid()), target)
}

fn broker(emulator: &Emulator, grants: &[String]) -> Broker {
    Broker::new(ImpersonationPool::builder(client_of(emulator)).build(), policy(grants))
}

/// Starts a broker that listens on a loopback address, and returns it with that address.
async fn over_loopback(broker: Broker) -> (BrokerServer, SocketAddr) {
    let socket = Socket::loopback("127.0.0.1:0".parse().unwrap());
    let server = BrokerServer::builder(broker).listen(socket).start().await.unwrap();
    let address = server.addresses()[0];
    (server, address)
}

/// A broker that listens on a Unix socket.
struct OverUnix {
    server: BrokerServer,
    path: PathBuf,
    _folder: TempDir,
}

impl OverUnix {
    async fn start(emulator: &Emulator, grants: &[String]) -> Self {
        Self::start_with(broker(emulator, grants), |builder| builder).await
    }

    async fn start_with(
        broker: Broker,
        options: impl FnOnce(BrokerServerBuilder) -> BrokerServerBuilder,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.sock");
        let server =
            options(BrokerServer::builder(broker)).listen(Socket::unix(&path)).start().await.unwrap();
        Self { server, path, _folder: folder }
    }

    fn envoy(&self) -> AuthorizationClient<Channel> {
        AuthorizationClient::new(unix_channel(&self.path))
    }
}

/// Returns a channel to a Unix socket.
fn unix_channel(path: &std::path::Path) -> Channel {
    let path = path.to_owned();
    let connect = service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(connect)
}

/// Returns the account of an access token, and its scopes.
fn token_info(emulator: &Emulator, token: &str) -> (String, String) {
    let token = emulator.verify_access_token(token).expect("a token of the emulator");
    let account = token.principal().strip_prefix("serviceAccount:");
    (account.expect("an account's token").to_owned(), token.scopes().join(" "))
}
