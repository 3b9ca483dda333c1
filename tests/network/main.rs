//! How servers are reached: through proxies, with the program's certificates, over shared connections.
#![cfg(all(feature = "credential-files", feature = "tls-ring"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod certificates;
mod proxies;
mod shared_connections;

use std::net::SocketAddr;
use std::sync::Arc;

use gcp_iam_credentials::Credentials;
use gcp_iam_credentials::emulator::Emulator;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use self::support::accounts::{TARGET, USER};

/// Hosts that the emulator has a certificate for.
const API: &str = "iamcredentials.googleapis.com";
const TOKENS: &str = "oauth2.googleapis.com";

/// Starts an emulator that knows how to be Google's hosts.
async fn emulator() -> Emulator {
    Emulator::builder().tls().start().await.unwrap()
}

/// Returns a user's file for Google's token endpoint, with a refresh token of the emulator.
fn user_file(emulator: &Emulator) -> String {
    let mut file: Value = serde_json::from_str(&emulator.authorized_user_json(USER)).unwrap();
    file["token_uri"] = format!("https://{TOKENS}/token").into();
    file.to_string()
}

/// Returns a file that impersonates an account at Google's hosts, from a user of the emulator.
fn impersonation_file(emulator: &Emulator, account: &str) -> String {
    serde_json::json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url":
            format!("https://{API}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"),
        "source_credentials": serde_json::from_str::<Value>(&user_file(emulator)).unwrap(),
    })
    .to_string()
}

/// Checks that the credentials get a token of this principal.
async fn assert_gets_token_of(principal: &str, credentials: &Credentials, emulator: &Emulator) {
    let token = credentials.token().await.unwrap();
    let known = emulator.verify_access_token(token.secret()).unwrap();
    assert!(known.principal().ends_with(principal), "{}", known.principal());
}

/// Checks that the credentials impersonate [`TARGET`].
async fn assert_acts_as_target(credentials: &Credentials, emulator: &Emulator) {
    assert_gets_token_of(TARGET, credentials, emulator).await;
}

/// Starts a TLS server that forwards everything to the TLS server at `target`.
async fn tls_in_front_of(target: SocketAddr, roots: &str, acceptor: TlsAcceptor) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connector = connector(roots);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (acceptor, connector) = (acceptor.clone(), connector.clone());
            tokio::spawn(async move {
                let Ok(mut near) = acceptor.accept(socket).await else { return };
                let far = TcpStream::connect(target).await.unwrap();
                let name = ServerName::try_from("localhost").unwrap();
                let mut far = connector.connect(name, far).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    address
}

fn connector(roots: &str) -> TlsConnector {
    let mut store = rustls::RootCertStore::empty();
    store.add(CertificateDer::from_pem_slice(roots.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(store);
    TlsConnector::from(Arc::new(config.with_no_client_auth()))
}
