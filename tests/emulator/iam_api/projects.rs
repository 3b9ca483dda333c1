//! Projects, and the APIs that are enabled in them.

use gcp_iam_credentials::emulator::{Policy, Role};
use serde_json::{Value, json};

use super::{ALICE, TARGET, World};

const SERVICE: &str = "services/iamcredentials.googleapis.com";

/// conf: I10
#[tokio::test]
async fn the_api_is_disabled_and_enabled_by_id_and_by_number() {
    let world = World::start().await;
    world.0.policy().grant(ALICE, Role::TOKEN_CREATOR, TARGET).unwrap();
    let project = world.ask("GET", "v1/projects/interop", &Value::Null).await;
    let number = project["projectNumber"].as_str().unwrap();
    let off = json!({"checkIfServiceHasUsage": "CHECK", "disableDependentServices": false});
    for name in ["interop", number] {
        let reply = world.ask("POST", &format!("v1/projects/{name}/{SERVICE}:disable"), &off).await;
        assert_eq!(reply["done"], true, "{reply}");
        assert_eq!(
            world.ask("GET", &format!("v1/projects/{name}/{SERVICE}"), &Value::Null).await["state"],
            "DISABLED"
        );
        assert_eq!(world.alice_gets_token(TARGET).await, 403);
        let reply = world.ask("POST", &format!("v1/projects/{name}/{SERVICE}:enable"), &json!({})).await;
        assert_eq!(reply["response"]["service"]["name"], format!("projects/{number}/{SERVICE}"));
        assert_eq!(world.alice_gets_token(TARGET).await, 200);
    }
    let several = json!({"serviceIds": ["run.googleapis.com", "iamcredentials.googleapis.com"]});
    world.ask("POST", &format!("v1/projects/interop/{SERVICE}:disable"), &json!({})).await;
    world.ask("POST", "v1/projects/interop/services:batchEnable", &several).await;
    assert_eq!(world.alice_gets_token(TARGET).await, 200);
    let message = world
        .refused(400, "POST", "v1/projects/interop/services/run.googleapis.com:disable", &json!({}))
        .await;
    assert!(message.contains("run.googleapis.com"), "{message}");
}

/// conf: I10
#[tokio::test]
async fn a_grant_on_a_project_counts_for_all_its_accounts() {
    let world = World::with(Policy::new()).await;
    let mut policy = world.ask("POST", "v1/projects/interop:getIamPolicy", &Value::Null).await;
    let creator = json!({"role": "roles/iam.serviceAccountTokenCreator", "members": [ALICE]});
    policy["bindings"].as_array_mut().unwrap().push(creator);
    let body = json!({"policy": policy, "updateMask": "bindings,etag"});
    world.ask("POST", "v1/projects/interop:setIamPolicy", &body).await;
    assert_eq!(world.alice_gets_token(TARGET).await, 200);
    let (status, _) = world.send("owner", "POST", "v1/projects/other:getIamPolicy", &Value::Null).await;
    assert_eq!(status, 403);
}
