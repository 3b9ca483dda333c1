//! The keys of service accounts.

use serde_json::{Value, json};

use super::{TARGET_PATH, World};

fn keys(of: &str) -> String {
    format!("v1/{TARGET_PATH}/keys{of}")
}

#[cfg(feature = "credential-files")]
fn decoded(value: &Value) -> String {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    String::from_utf8(BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap()).unwrap()
}

/// conf: I9
#[cfg(feature = "credential-files")]
#[tokio::test]
async fn a_created_key_works_until_it_is_deleted() {
    let world = World::start().await;
    let created =
        world.ask("POST", &keys(""), &json!({"privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE"})).await;
    let file = decoded(&created["privateKeyData"]);
    let fetch = || async { gcp_iam_credentials::Credentials::from_json(&file).unwrap().token().await };
    fetch().await.unwrap();

    let list = world.ask("GET", &keys("?keyTypes=USER_MANAGED"), &Value::Null).await;
    let listed = &list["keys"][0];
    assert_eq!((&listed["name"], &listed["privateKeyData"]), (&created["name"], &Value::Null));
    let id = created["name"].as_str().unwrap().rsplit('/').next().unwrap();
    let one =
        world.ask("GET", &keys(&format!("/{id}?publicKeyType=TYPE_RAW_PUBLIC_KEY")), &Value::Null).await;
    assert!(decoded(&one["publicKeyData"]).starts_with("-----BEGIN PUBLIC KEY-----\n"), "{one}");
    let one = world.ask("GET", &keys(&format!("/{id}?publicKeyType=TYPE_X509_PEM_FILE")), &Value::Null).await;
    assert!(decoded(&one["publicKeyData"]).starts_with("-----BEGIN CERTIFICATE-----"), "{one}");

    world.ask("DELETE", &keys(&format!("/{id}")), &Value::Null).await;
    fetch().await.unwrap_err();
    world.refused(404, "DELETE", &keys(&format!("/{id}")), &Value::Null).await;
    assert_eq!(world.ask("GET", &keys("?keyTypes=USER_MANAGED"), &Value::Null).await, json!({}));
}

/// conf: I9
#[tokio::test]
async fn keys_that_google_manages_are_listed_and_stay() {
    let world = World::start().await;
    world.0.keys().prepare(super::TARGET).await.unwrap();
    let list = world.ask("GET", &keys(""), &Value::Null).await;
    assert_eq!(list["keys"][0]["keyType"], "SYSTEM_MANAGED", "{list}");
    let id = list["keys"][0]["name"].as_str().unwrap().rsplit('/').next().unwrap();
    world.refused(400, "DELETE", &keys(&format!("/{id}")), &Value::Null).await;
    world.refused(400, "GET", &keys("?keyTypes=OTHER"), &Value::Null).await;
    world.refused(400, "GET", &keys(&format!("/{id}?publicKeyType=X")), &Value::Null).await;
    let pkcs12 = json!({"privateKeyType": "TYPE_PKCS12_FILE"});
    let message = world.refused(400, "POST", &keys(""), &pkcs12).await;
    assert!(message.contains("TYPE_PKCS12_FILE"), "{message}");
}
