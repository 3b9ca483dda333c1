//! The metadata server.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Policy};
use gcp_iam_credentials::scopes;
use serde_json::Value;

use crate::support::emulator::http;

#[tokio::test]
async fn the_metadata_server_issues_tokens_to_requests_with_its_header() {
    let email = "machine@project.iam.gserviceaccount.com";
    let policy = Policy::new().metadata_account(email);
    let emulator = Emulator::builder().policy(policy).start().await.unwrap();
    let base = format!("{}/computeMetadata/v1", emulator.endpoint());
    let account = format!("{base}/instance/service-accounts/default");
    let flavor = [("metadata-flavor", "Google")];
    let get = async |url: String| {
        let (status, headers, body) = http("GET", &url, &flavor, "").await;
        assert_eq!(
            (status.as_u16(), &headers["metadata-flavor"]),
            (200, &"Google".parse().unwrap()),
            "{url}"
        );
        String::from_utf8(body.to_vec()).unwrap()
    };
    let (status, headers, _) = http("GET", &format!("{account}/token"), &[], "").await;
    assert_eq!((status.as_u16(), headers.contains_key("metadata-flavor")), (403, true));
    assert_eq!(get(format!("{account}/email")).await, email);
    assert_eq!(get(format!("{base}/project/project-id")).await, "project");
    assert!(get(format!("{base}/project/numeric-project-id")).await.parse::<u64>().is_ok());
    assert_eq!(get(format!("{base}/universe/universe-domain")).await, "googleapis.com");
    assert!(get(format!("{account}/scopes")).await.contains(scopes::CLOUD_PLATFORM));
    let about: Value = serde_json::from_str(&get(format!("{account}/?recursive=true")).await).unwrap();
    assert_eq!(about["email"], email);

    let token: Value = serde_json::from_str(&get(format!("{account}/token")).await).unwrap();
    let verified = emulator.verify_access_token(token["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(verified.principal(), format!("serviceAccount:{email}"));
    emulator.clock().advance(Duration::from_secs(3000));
    let same: Value = serde_json::from_str(&get(format!("{account}/token")).await).unwrap();
    assert_eq!(same["access_token"], token["access_token"], "a live token is returned again");
    emulator.clock().advance(Duration::from_secs(400));
    let fresh: Value = serde_json::from_str(&get(format!("{account}/token")).await).unwrap();
    assert_ne!(fresh["access_token"], token["access_token"], "a token near its expiry is replaced");

    let id = get(format!("{account}/identity?audience=https://service.example&format=full")).await;
    assert_eq!(emulator.verify_id_token(&id).unwrap()["email"], email);
    let (status, _, _) =
        http("GET", &format!("{base}/instance/service-accounts/other@x.y/token"), &flavor, "").await;
    assert_eq!(status, 404);
}
