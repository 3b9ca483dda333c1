//! The metadata server of the broker, above an emulator.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod connections;
mod failures;
mod options;
mod pages;
mod tokens;

use gcp_iam_credentials::Impersonation;
use gcp_iam_credentials::broker::MetadataServer;
use gcp_iam_credentials::emulator::Emulator;

use support::emulator::{EMAIL, client_of, http};

const FLAVOR: (&str, &str) = ("metadata-flavor", "Google");
const TOKEN: &str = "instance/service-accounts/default/token";
const IDENTITY: &str = "instance/service-accounts/default/identity";

fn target(emulator: &Emulator) -> Impersonation {
    client_of(emulator).impersonate(EMAIL)
}

async fn start(emulator: &Emulator) -> MetadataServer {
    MetadataServer::builder(target(emulator)).start().await.unwrap()
}

/// Requests a path below `/computeMetadata/v1/`, and returns status and body.
async fn get(server: &MetadataServer, path: &str) -> (u16, String) {
    let url = format!("http://{}/computeMetadata/v1/{path}", server.host());
    let (status, headers, body) = http("GET", &url, &[FLAVOR], "").await;
    assert_eq!(headers[FLAVOR.0], FLAVOR.1, "{path}");
    (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

/// Requests an access token, and returns it with its remaining life in seconds.
async fn token(server: &MetadataServer, query: &str) -> (String, u64) {
    let (status, body) = get(server, &format!("{TOKEN}{query}")).await;
    assert_eq!(status, 200, "{query}: {body}");
    let reply: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(reply["token_type"], "Bearer");
    (reply["access_token"].as_str().unwrap().to_owned(), reply["expires_in"].as_u64().unwrap())
}
