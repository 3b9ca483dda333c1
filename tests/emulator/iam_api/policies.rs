//! `getIamPolicy`, `setIamPolicy` and `testIamPermissions`, on accounts and projects.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Method, Policy, Role};
use gcp_iam_credentials::service_account_path;
use serde_json::{Value, json};

use super::{ALICE, TARGET, TARGET_PATH, World};
use crate::support::emulator::{EMAIL, json as send, jwt_of_key_file, now, start};

const CREATOR: &str = "roles/iam.serviceAccountTokenCreator";

fn on_target(verb: &str) -> String {
    format!("v1/{TARGET_PATH}:{verb}")
}

fn binding(role: &str, members: &[&str]) -> Value {
    json!({"role": role, "members": members})
}

/// conf: I1
#[tokio::test]
async fn a_grant_that_is_added_and_removed_takes_effect() {
    let world = World::start().await;
    assert_eq!(world.alice_gets_token(TARGET).await, 403);

    let mut policy = world.ask("POST", &on_target("getIamPolicy"), &Value::Null).await;
    assert_eq!(policy["bindings"], Value::Null);
    policy["bindings"] = json!([binding(CREATOR, &[ALICE])]);
    let set = world.ask("POST", &on_target("setIamPolicy"), &json!({ "policy": policy })).await;
    assert_eq!(set["bindings"], policy["bindings"]);
    assert_ne!(set["etag"], policy["etag"]);
    assert_eq!(world.ask("POST", &on_target("getIamPolicy"), &Value::Null).await, set);
    assert_eq!(world.alice_gets_token(TARGET).await, 200);
    assert_eq!(world.0.journal().of_method(Method::IamAdmin).len(), 3);

    world.ask("POST", &on_target("setIamPolicy"), &json!({"policy": {"bindings": []}})).await;
    assert_eq!(world.alice_gets_token(TARGET).await, 403);
}

/// conf: I1
#[tokio::test]
async fn a_policy_that_changed_since_it_was_read_is_not_overwritten() {
    let world = World::start().await;
    let path = on_target("setIamPolicy");
    let read = world.ask("POST", &on_target("getIamPolicy"), &Value::Null).await;
    world.0.policy().grant("allUsers", Role::VIEWER, TARGET).unwrap();
    let stale = json!({"policy": {"etag": read["etag"], "bindings": [binding(CREATOR, &[ALICE])]}});
    let (status, reply) = world.send("owner", "POST", &path, &stale).await;
    assert_eq!((status, &reply["error"]["status"]), (409, &"ABORTED".into()), "{reply}");
    assert_eq!(world.alice_gets_token(TARGET).await, 403);

    // gcloud sends etags back in the alphabet of URLs.
    for _ in 0..20 {
        let read = world.ask("POST", &on_target("getIamPolicy"), &Value::Null).await;
        let etag = read["etag"].as_str().unwrap().replace('+', "-").replace('/', "_");
        let members = [format!("user:{}@example.com", etag.len()), format!("user:x{etag}@example.com")];
        let members = members.map(|member| member.replace(['=', '/'], ""));
        let policy = json!({"etag": etag, "bindings": [{"role": "roles/viewer", "members": members}]});
        world.ask("POST", &path, &json!({ "policy": policy })).await;
    }
    let message = world.refused(400, "POST", &path, &json!({"policy": {"etag": "*"}})).await;
    assert!(message.contains("base64"), "{message}");
}

/// conf: I1
#[tokio::test]
async fn concurrent_changes_with_etags_lose_nothing() {
    let world = World::start().await;
    let add = async |number: usize| {
        loop {
            let mut policy = world.ask("POST", &on_target("getIamPolicy"), &Value::Null).await;
            let mut members = policy["bindings"][0]["members"].as_array().cloned().unwrap_or_default();
            members.push(format!("user:{number}@example.com").into());
            policy["bindings"] = json!([{"role": CREATOR, "members": members}]);
            let body = json!({ "policy": policy });
            match world.send("owner", "POST", &on_target("setIamPolicy"), &body).await.0 {
                200 => return,
                status => assert_eq!(status, 409),
            }
        }
    };
    let [a, b, c, d] = [0, 1, 2, 3].map(async |first| {
        for number in 0..5 {
            add(first * 5 + number).await;
        }
    });
    tokio::join!(a, b, c, d);
    let policy = world.ask("POST", &on_target("getIamPolicy"), &Value::Null).await;
    assert_eq!(policy["bindings"][0]["members"].as_array().unwrap().len(), 20, "{policy}");
}

/// conf: I2
#[tokio::test]
async fn conditions_are_kept_and_count() {
    let world = World::start().await;
    let set = |expression: &str| {
        let condition = json!({"title": "limited", "expression": expression});
        let binding = json!({"role": CREATOR, "members": [ALICE], "condition": condition});
        json!({"policy": {"version": 3, "bindings": [binding]}})
    };
    let body = set("request.time < timestamp('2999-01-01T00:00:00Z') && resource.name.endsWith('.com')");
    let reply = world.ask("POST", &on_target("setIamPolicy"), &body).await;
    assert_eq!((&reply["version"], &reply["bindings"]), (&3.into(), &body["policy"]["bindings"]));
    assert_eq!(world.alice_gets_token(TARGET).await, 200);

    let with_version = format!("{}?options.requestedPolicyVersion=3", on_target("getIamPolicy"));
    assert_eq!(world.ask("POST", &with_version, &Value::Null).await, reply);
    let in_body = json!({"options": {"requestedPolicyVersion": 3}});
    assert_eq!(world.ask("POST", &on_target("getIamPolicy"), &in_body).await, reply);
    let old = world.ask("POST", &on_target("getIamPolicy"), &Value::Null).await;
    let role = old["bindings"][0]["role"].as_str().unwrap();
    assert!(role.starts_with(&format!("{CREATOR}_withcond_")) && old["version"] == 1, "{old}");
    let message = world.refused(400, "POST", &on_target("setIamPolicy"), &json!({ "policy": old })).await;
    assert!(message.contains("version 3"), "{message}");

    world
        .ask("POST", &on_target("setIamPolicy"), &set("request.time > timestamp('2999-01-01T00:00:00Z')"))
        .await;
    assert_eq!(world.alice_gets_token(TARGET).await, 403);
    let mut body = set("true");
    body["policy"]["version"] = 1.into();
    world.refused(400, "POST", &on_target("setIamPolicy"), &body).await;
    let message = world.refused(400, "POST", &on_target("setIamPolicy"), &set("request.time <")).await;
    assert!(message.contains("policy.bindings[0].condition.expression"), "{message}");
}

/// conf: I3
#[tokio::test]
async fn a_new_grant_takes_as_long_as_the_policy_says() {
    let policy = Policy::new().grant_propagation(Duration::from_secs(120));
    let world = World::with(policy).await;
    world.0.clock().advance(Duration::from_secs(1000));
    let body = json!({"policy": {"bindings": [binding(CREATOR, &[ALICE])]}});
    world.ask("POST", &on_target("setIamPolicy"), &body).await;
    world.0.clock().advance(Duration::from_secs(100));
    assert_eq!(world.alice_gets_token(TARGET).await, 403);
    // A change of another member doesn't start the time anew.
    let body = json!({"policy": {"bindings": [binding(CREATOR, &[ALICE, "user:bob@example.com"])]}});
    world.ask("POST", &on_target("setIamPolicy"), &body).await;
    world.0.clock().advance(Duration::from_secs(21));
    assert_eq!(world.alice_gets_token(TARGET).await, 200);
    let policy = Policy::from_json(&world.0.policy().get().unwrap().to_json()).unwrap();
    assert!(policy.to_json().contains(r#""grantPropagation": "120s""#));
}

/// conf: I4
#[tokio::test]
async fn a_mistake_in_a_policy_is_named_with_its_place() {
    let world = World::start().await;
    for (bindings, place, says) in [
        (
            json!([binding("roles/iam.serviceAccountTokenCreater", &[ALICE])]),
            "bindings[0].role",
            "unknown role",
        ),
        (json!([binding("projects/p/roles/x", &[ALICE])]), "bindings[0].role", "unknown role"),
        (json!([binding("roles/viewer", &["alice@example.com"])]), "bindings[0].members[0]", "user:alice@"),
        (
            json!([binding("roles/viewer", &[ALICE, "group:g@x.com"])]),
            "bindings[0].members[1]",
            "does not exist",
        ),
        (
            json!([binding("roles/viewer", &["serviceAccount:gone@interop.iam.gserviceaccount.com"])]),
            "bindings[0].members[0]",
            "does not exist",
        ),
        (json!([{"members": [ALICE]}]), "bindings[0]", "role"),
        (json!([{"role": "roles/viewer", "memebers": []}]), "bindings[0].memebers", "unknown field"),
        (json!({"role": "x"}), "bindings", "expected a list"),
        (json!([["roles/viewer", [ALICE]]]), "bindings[0]", "expected an object"),
    ] {
        let body = json!({"policy": { "bindings": bindings }});
        let message = world.refused(400, "POST", &on_target("setIamPolicy"), &body).await;
        assert!(message.contains(place) && message.contains(says), "{body}: {message}");
    }
    for (body, says) in [
        (json!({"policy": {"version": 2}}), "got 2"),
        (json!({"policy": {"auditConfigs": [{}]}}), "audit configs"),
        (json!({"policy": []}), "'policy'"),
        (json!({"polcy": {}}), "polcy"),
    ] {
        let message = world.refused(400, "POST", &on_target("setIamPolicy"), &body).await;
        assert!(message.contains(says), "{body}: {message}");
    }
}

/// conf: I4
#[tokio::test]
async fn roles_and_members_that_the_emulator_does_not_know_are_kept() {
    let world = World::start().await;
    let bindings = json!([
        binding(
            "roles/storage.admin",
            &[ALICE, "serviceAccount:service-1@gcp-sa-pubsub.iam.gserviceaccount.com"]
        ),
        binding("roles/owner", &["user:owner@example.com", "deleted:user:bob@example.com?uid=123"]),
        binding(
            "roles/viewer",
            &["serviceAccount:p.svc.id.goog[ns/ksa]", "projectViewer:interop", "domain:x.com"]
        ),
    ]);
    let reply = world
        .ask("POST", "v3/projects/interop:setIamPolicy", &json!({"policy": { "bindings": bindings }}))
        .await;
    assert_eq!(reply["bindings"], bindings);
    let policy = world.0.policy().get().unwrap();
    assert_eq!(Policy::from_json(&policy.to_json()).unwrap().to_json(), policy.to_json());
}

/// conf: I5
#[tokio::test]
async fn callers_need_the_permissions_that_google_asks_for() {
    let world = World::start().await;
    let keys = format!("v1/{TARGET_PATH}/keys");
    let account = format!("v1/{TARGET_PATH}");
    for (method, path, permission) in [
        ("POST", &*on_target("getIamPolicy"), "iam.serviceAccounts.getIamPolicy"),
        ("POST", &*on_target("setIamPolicy"), "iam.serviceAccounts.setIamPolicy"),
        ("GET", &*account, "iam.serviceAccounts.get"),
        ("PATCH", &*account, "iam.serviceAccounts.update"),
        ("DELETE", &*account, "iam.serviceAccounts.delete"),
        ("POST", &*format!("{account}:disable"), "iam.serviceAccounts.disable"),
        ("POST", &*format!("{account}:enable"), "iam.serviceAccounts.enable"),
        ("GET", "v1/projects/interop/serviceAccounts", "iam.serviceAccounts.list"),
        ("POST", "v1/projects/interop/serviceAccounts", "iam.serviceAccounts.create"),
        ("GET", &*keys, "iam.serviceAccountKeys.list"),
        ("POST", &*keys, "iam.serviceAccountKeys.create"),
        ("DELETE", &*format!("{keys}/0a"), "iam.serviceAccountKeys.delete"),
        ("POST", "v1/projects/interop:getIamPolicy", "resourcemanager.projects.getIamPolicy"),
        ("POST", "v1/projects/interop:setIamPolicy", "resourcemanager.projects.setIamPolicy"),
        (
            "POST",
            "v1/projects/interop/services/iamcredentials.googleapis.com:enable",
            "serviceusage.services.enable",
        ),
        // Whoever may not see an account isn't told that it doesn't exist.
        (
            "GET",
            "v1/projects/-/serviceAccounts/gone@interop.iam.gserviceaccount.com",
            "iam.serviceAccounts.get",
        ),
    ] {
        let (status, reply) = world.send("alice", method, path, &Value::Null).await;
        assert_eq!(status, 403, "{method} {path}: {reply}");
        let info = &reply["error"]["details"][0];
        assert_eq!(info["metadata"]["permission"], permission, "{method} {path}");
    }
    let (status, reply) = world.send("nobody", "GET", &account, &Value::Null).await;
    assert_eq!(status, 401, "{reply}");
    let metadata = &reply["error"]["details"][0]["metadata"];
    assert_eq!(metadata["method"], "google.iam.admin.v1.IAM.GetServiceAccount", "{reply}");
    assert_eq!(metadata["service"], "iam.googleapis.com", "{reply}");
}

/// conf: I5
#[tokio::test]
async fn anyone_may_ask_for_their_own_permissions() {
    let world = World::start().await;
    world.0.policy().grant(ALICE, Role::OPENID_TOKEN_CREATOR, TARGET).unwrap();
    let asked =
        json!({"permissions": ["iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.getOpenIdToken"]});
    let (_, reply) = world.send("alice", "POST", &on_target("testIamPermissions"), &asked).await;
    assert_eq!(reply, json!({"permissions": ["iam.serviceAccounts.getOpenIdToken"]}));
    let asked =
        json!({"permissions": ["resourcemanager.projects.setIamPolicy", "serviceusage.services.use"]});
    let path = "v1/projects/interop:testIamPermissions";
    assert_eq!(world.send("alice", "POST", path, &asked).await, (200, json!({})));
    assert_eq!(world.ask("POST", path, &asked).await, asked);
}

/// conf: A18, I5
#[tokio::test]
async fn a_self_signed_jwt_is_for_the_api_that_it_names() {
    let emulator = start().await;
    let bearer = |audience: &str| {
        let claims = json!({"iss": EMAIL, "sub": EMAIL, "aud": audience, "iat": now(), "exp": now() + 600});
        format!("Bearer {}", jwt_of_key_file(&emulator, &claims.to_string()))
    };
    let status = async |method: &str, verb: &str, bearer: String| {
        let url = format!("{}/v1/{}{verb}", emulator.endpoint(), service_account_path("-", EMAIL));
        send(method, &url, &[("authorization", &bearer)], "").await.0
    };
    for (audience, iam, credentials) in [
        ("https://iam.googleapis.com/", 200, 401),
        ("https://iam.mtls.googleapis.com/google.iam.admin.v1.IAM", 200, 401),
        ("https://iamcredentials.googleapis.com/", 401, 200),
        ("https://cloudresourcemanager.googleapis.com/", 401, 401),
    ] {
        assert_eq!(status("GET", "", bearer(audience)).await, iam, "{audience}");
        assert_eq!(status("POST", ":signBlob", bearer(audience)).await, credentials, "{audience}");
    }
}
