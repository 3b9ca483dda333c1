//! The metadata server.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Policy};
use gcp_iam_credentials::scopes;
use serde_json::Value;

use crate::support::accounts::member;
use crate::support::emulator::http;

const EMAIL: &str = "machine@project.iam.gserviceaccount.com";
const HEADER: (&str, &str) = ("metadata-flavor", "Google");

async fn start() -> Emulator {
    Emulator::builder().policy(Policy::new().metadata_account(EMAIL)).start().await.unwrap()
}

fn url(emulator: &Emulator, path: &str) -> String {
    format!("{}/computeMetadata/v1/{path}", emulator.endpoint())
}

/// Returns the path of a value of the machine's account.
fn account(value: &str) -> String {
    format!("instance/service-accounts/default/{value}")
}

/// Fetches a path of the metadata server, with its header.
async fn get(emulator: &Emulator, path: &str) -> String {
    let (status, headers, body) = http("GET", &url(emulator, path), &[HEADER], "").await;
    assert_eq!(status, 200, "{path}");
    assert_eq!(headers[HEADER.0], HEADER.1, "{path}");
    String::from_utf8(body.to_vec()).unwrap()
}

async fn token(emulator: &Emulator) -> String {
    let reply: Value = serde_json::from_str(&get(emulator, &account("token")).await).unwrap();
    reply["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_metadata_server_refuses_requests_without_its_header() {
    let emulator = start().await;
    let (status, headers, _) = http("GET", &url(&emulator, &account("token")), &[], "").await;
    assert_eq!((status.as_u16(), headers.contains_key(HEADER.0)), (403, true));
}

#[tokio::test]
async fn the_metadata_server_describes_the_machine_and_its_account() {
    let emulator = start().await;
    assert_eq!(get(&emulator, &account("email")).await, EMAIL);
    assert!(get(&emulator, &account("scopes")).await.contains(scopes::CLOUD_PLATFORM));
    assert_eq!(get(&emulator, "project/project-id").await, "project");
    assert!(get(&emulator, "project/numeric-project-id").await.parse::<u64>().is_ok());
    assert_eq!(get(&emulator, "universe/universe-domain").await, "googleapis.com");
    let described = get(&emulator, &account("?recursive=true")).await;
    let described: Value = serde_json::from_str(&described).unwrap();
    assert_eq!(described["email"], EMAIL);
    let unknown = url(&emulator, &account("token?scopes=cloud-platform"));
    assert_eq!(http("GET", &unknown, &[HEADER], "").await.0, 400, "there is no such scope");
    let other = url(&emulator, "instance/service-accounts/other@x.y/token");
    assert_eq!(http("GET", &other, &[HEADER], "").await.0, 404, "there is no other account");
}

#[tokio::test]
async fn the_metadata_server_issues_tokens_of_its_account_and_caches_access_tokens() {
    let emulator = start().await;
    let first = token(&emulator).await;
    assert_eq!(emulator.verify_access_token(&first).unwrap().principal(), member(EMAIL));
    emulator.clock().advance(Duration::from_secs(3000));
    assert_eq!(token(&emulator).await, first, "a live token is returned again");
    emulator.clock().advance(Duration::from_secs(400));
    assert_ne!(token(&emulator).await, first, "a token near its expiry is replaced");

    let id = get(&emulator, &account("identity?audience=https://service.example&format=full")).await;
    assert_eq!(emulator.verify_id_token::<Value>(&id).unwrap()["email"], EMAIL);
}
