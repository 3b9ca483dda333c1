//! Service accounts: list, create, change, disable, delete.

use gcp_iam_credentials::emulator::Role;
use serde_json::{Value, json};

use super::{ALICE, TARGET, TARGET_PATH, World};
use crate::support::emulator::{json as send, start};

const ACCOUNTS: &str = "v1/projects/interop/serviceAccounts";
const BUILDER: &str = "builder@interop.iam.gserviceaccount.com";

fn of_builder(verb: &str) -> String {
    format!("v1/projects/-/serviceAccounts/{BUILDER}{verb}")
}

async fn create(world: &World) -> Value {
    let details = json!({"displayName": "The builder", "description": "builds"});
    world.ask("POST", ACCOUNTS, &json!({"accountId": "builder", "serviceAccount": details})).await
}

/// conf: I6
#[tokio::test]
async fn a_created_account_is_found_and_can_be_changed() {
    let world = World::start().await;
    let created = create(&world).await;
    assert_eq!(created["email"], BUILDER);
    assert_eq!(created["name"], format!("projects/interop/serviceAccounts/{BUILDER}"));
    assert_eq!(world.ask("GET", &of_builder(""), &Value::Null).await, created);
    let by_id = format!("{ACCOUNTS}/{}", created["uniqueId"].as_str().unwrap());
    assert_eq!(world.ask("GET", &by_id, &Value::Null).await, created);
    world.refused(409, "POST", ACCOUNTS, &json!({"accountId": "builder"})).await;
    world.refused(404, "GET", &format!("v1/projects/other/serviceAccounts/{BUILDER}"), &Value::Null).await;

    let change = json!({"displayName": "B", "description": "ignored"});
    let change = json!({"serviceAccount": change, "updateMask": "display_name"});
    let changed = world.ask("PATCH", &of_builder(""), &change).await;
    assert_eq!((&changed["displayName"], &changed["description"]), (&"B".into(), &"builds".into()));
    assert_ne!(changed["etag"], created["etag"]);
    assert!(world.0.policy().get().unwrap().to_json().contains(r#""displayName": "B""#));
    let mask = json!({"serviceAccount": {}, "updateMask": "email"});
    let message = world.refused(400, "PATCH", &of_builder(""), &mask).await;
    assert!(message.contains("email"), "{message}");
}

/// conf: I6
#[tokio::test]
async fn the_id_of_an_account_is_checked() {
    let world = World::start().await;
    for id in ["", "short", "Builder1", "9builder", "builder-", "with space", &"a".repeat(31)] {
        let message = world.refused(400, "POST", ACCOUNTS, &json!({ "accountId": id })).await;
        assert!(message.contains(&format!("{id:?}")), "{message}");
    }
    let long = json!({"accountId": "builder", "serviceAccount": {"displayName": "x".repeat(101)}});
    world.refused(400, "POST", ACCOUNTS, &long).await;
}

/// conf: I6
#[tokio::test]
async fn accounts_are_listed_in_pages() {
    let world = World::start().await;
    for number in 0..25 {
        world.ask("POST", ACCOUNTS, &json!({"accountId": format!("number-{number:02}")})).await;
    }
    for (size, pages) in [("", vec![20, 6]), ("pageSize=10", vec![10, 10, 6]), ("pageSize=1000", vec![26])] {
        let (mut lengths, mut emails, mut token) = (Vec::new(), Vec::new(), String::new());
        loop {
            let path = format!("{ACCOUNTS}?{size}&pageToken={token}");
            let page = world.ask("GET", &path, &Value::Null).await;
            let accounts = page["accounts"].as_array().unwrap();
            lengths.push(accounts.len());
            emails.extend(accounts.iter().map(|account| account["email"].to_string()));
            match page["nextPageToken"].as_str() {
                Some(next) => token = next.replace('+', "%2B"),
                None => break,
            }
        }
        assert_eq!(lengths, pages, "{size}");
        assert!(emails.is_sorted() && emails.len() == 26, "{emails:?}");
    }
    world.refused(400, "GET", &format!("{ACCOUNTS}?pageSize=x"), &Value::Null).await;
    world.refused(400, "GET", &format!("{ACCOUNTS}?pageToken=*"), &Value::Null).await;
    world.refused(400, "GET", &format!("{ACCOUNTS}?pageLength=1"), &Value::Null).await;
}

/// conf: I6
#[tokio::test]
async fn a_disabled_account_gives_no_tokens_until_it_is_enabled() {
    let world = World::start().await;
    world.0.policy().grant(ALICE, Role::TOKEN_CREATOR, TARGET).unwrap();
    assert_eq!(world.alice_gets_token(TARGET).await, 200);
    world.ask("POST", &format!("v1/{TARGET_PATH}:disable"), &json!({})).await;
    assert_eq!(world.alice_gets_token(TARGET).await, 403);
    assert_eq!(world.ask("GET", &format!("v1/{TARGET_PATH}"), &Value::Null).await["disabled"], true);
    world.ask("POST", &format!("v1/{TARGET_PATH}:enable"), &json!({})).await;
    assert_eq!(world.alice_gets_token(TARGET).await, 200);
}

/// conf: I7
#[tokio::test]
async fn nothing_of_a_deleted_account_remains_for_a_new_one_of_that_name() {
    let world = World::start().await;
    let created = create(&world).await;
    let member = format!("serviceAccount:{BUILDER}");
    world.0.policy().grant(&*member, Role::TOKEN_CREATOR, TARGET).unwrap();
    world.0.policy().grant(ALICE, Role::TOKEN_CREATOR, BUILDER).unwrap();
    let token = {
        let body = r#"{"scope": ["https://www.googleapis.com/auth/cloud-platform"]}"#;
        let reply =
            crate::support::emulator::rest(&world.0, BUILDER, "generateAccessToken", "alice", body).await;
        reply.1["accessToken"].as_str().unwrap().to_owned()
    };
    let with_token = async || {
        let path = format!("v1/{TARGET_PATH}:generateAccessToken");
        let path = path.replace("projects/interop", "projects/-");
        let scope = json!({"scope": ["https://www.googleapis.com/auth/cloud-platform"]});
        world.send(&token, "POST", &path, &scope).await.0
    };
    assert_eq!(with_token().await, 200);
    let key_file = world.0.service_account_key_json(BUILDER);

    world.ask("DELETE", &of_builder(""), &Value::Null).await;
    world.refused(404, "GET", &of_builder(""), &Value::Null).await;
    assert_eq!(world.alice_gets_token(BUILDER).await, 404);
    assert_eq!(with_token().await, 401);
    let unique_id = created["uniqueId"].as_str().unwrap();
    let policy = world.ask("POST", &format!("v1/{TARGET_PATH}:getIamPolicy"), &Value::Null).await;
    let gone = format!("deleted:serviceAccount:{BUILDER}?uid={unique_id}");
    assert_eq!(policy["bindings"][0]["members"], json!([gone]));

    let again = create(&world).await;
    assert_ne!(again["uniqueId"], created["uniqueId"]);
    assert_eq!(with_token().await, 401);
    assert_eq!(world.alice_gets_token(BUILDER).await, 403);
    assert_ne!(world.0.service_account_key_json(BUILDER), key_file);
    world.ask("POST", &format!("v1/{TARGET_PATH}:setIamPolicy"), &json!({ "policy": policy })).await;
}

/// conf: I7
#[tokio::test]
async fn a_deleted_account_is_restored_with_its_grants_and_keys() {
    let world = World::start().await;
    world.0.policy().grant(ALICE, Role::TOKEN_CREATOR, TARGET).unwrap();
    world.0.policy().grant(&*format!("serviceAccount:{TARGET}"), Role::VIEWER, TARGET).unwrap();
    let before = world.ask("GET", &format!("v1/{TARGET_PATH}"), &Value::Null).await;
    let bindings = world.ask("POST", &format!("v1/{TARGET_PATH}:getIamPolicy"), &Value::Null).await;
    let key_file = world.0.service_account_key_json(TARGET);
    world.ask("DELETE", &format!("v1/{TARGET_PATH}"), &Value::Null).await;
    let undelete = format!("{ACCOUNTS}/{}:undelete", before["uniqueId"].as_str().unwrap());
    let (status, _) = world.send("alice", "POST", &undelete, &json!({})).await;
    assert_eq!(status, 403);
    let restored = world.ask("POST", &undelete, &json!({})).await;
    assert_eq!(restored, json!({ "restoredAccount": before }));
    assert_eq!(world.ask("POST", &format!("v1/{TARGET_PATH}:getIamPolicy"), &Value::Null).await, bindings);
    assert_eq!(world.0.service_account_key_json(TARGET), key_file);
    assert_eq!(world.alice_gets_token(TARGET).await, 200);
    world.refused(404, "POST", &undelete, &json!({})).await;
}

/// conf: I7
#[tokio::test]
async fn a_reset_restores_deleted_accounts_and_their_keys() {
    let world = World::start().await;
    let before = world.ask("GET", &format!("v1/{TARGET_PATH}"), &Value::Null).await;
    let key_file = world.0.service_account_key_json(TARGET);
    world.ask("DELETE", &format!("v1/{TARGET_PATH}"), &Value::Null).await;
    world.ask("POST", ACCOUNTS, &json!({"accountId": "target"})).await;
    world.0.reset();
    assert_eq!(world.ask("GET", &format!("v1/{TARGET_PATH}"), &Value::Null).await, before);
    assert_eq!(world.0.service_account_key_json(TARGET), key_file);
}

/// conf: I8
#[tokio::test]
async fn without_a_policy_what_would_have_no_effect_is_refused() {
    let emulator = start().await;
    let ask = async |method: &str, path: &str, body: Value| {
        let url = format!("{}/{path}", emulator.endpoint());
        send(method, &url, &[("authorization", "Bearer any")], body.to_string()).await
    };
    assert_eq!(ask("GET", &of_builder(""), json!({})).await.0, 200);
    let (_, list) = ask("GET", ACCOUNTS, json!({})).await;
    assert_eq!(list["accounts"][0]["email"], BUILDER);
    assert_eq!(ask("POST", ACCOUNTS, json!({"accountId": "another"})).await.0, 200);
    assert_eq!(ask("POST", ACCOUNTS, json!({"accountId": "another"})).await.0, 409);
    assert_eq!(ask("POST", &of_builder(":enable"), json!({})).await.0, 200);
    assert_eq!(ask("POST", &of_builder(":getIamPolicy"), json!({})).await.0, 200);
    for project in ["-", "a%20b", "x@y"] {
        let path = format!("v1/projects/{project}/serviceAccounts");
        assert_eq!(ask("POST", &path, json!({"accountId": "another"})).await.0, 400, "{project}");
    }
    for (method, path, body) in [
        ("POST", of_builder(":setIamPolicy"), json!({"policy": {}})),
        ("POST", of_builder(":disable"), json!({})),
        ("PATCH", of_builder(""), json!({"serviceAccount": {"displayName": "x"}})),
        ("DELETE", of_builder(""), json!({})),
        ("POST", "v1/projects/p:setIamPolicy".to_owned(), json!({"policy": {}})),
        ("POST", "v1/projects/p/services/iamcredentials.googleapis.com:disable".to_owned(), json!({})),
    ] {
        let (status, reply) = ask(method, &path, body).await;
        assert_eq!(
            (status, &reply["error"]["status"]),
            (400, &"FAILED_PRECONDITION".into()),
            "{path}: {reply}"
        );
        assert!(reply["error"]["message"].as_str().unwrap().contains("\nfix: "), "{reply}");
    }
    assert!(emulator.policy().get().is_none());
}
