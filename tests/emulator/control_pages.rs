//! The HTTP pages that control an emulator.

use crate::support::emulator::{EMAIL, http, json, rest, start};
use gcp_iam_credentials::emulator::TOKEN_CREATOR;
use serde_json::{Value, json as value};

#[tokio::test]
async fn the_control_pages_steer_it_from_any_language() {
    let emulator = start().await;
    let control = |path: &str| format!("{}/emulator{path}", emulator.endpoint());
    let (_, index) = json("GET", &control("/"), &[], "").await;
    assert!(index["pages"].as_object().unwrap().len() > 15, "{index}");
    assert_eq!(http("GET", &format!("{}/healthz", emulator.endpoint()), &[], "").await.2, "ok\n");

    let fault = r#"{"effect": "status", "code": "RESOURCE_EXHAUSTED", "message": "slow down", "method": "SignBlob",
        "times": 1, "retryDelay": "2s", "reason": "RATE_LIMIT_EXCEEDED", "metadata": {"quota": "q"}}"#;
    let (status, reply) = json("POST", &control("/faults"), &[], fault).await;
    assert_eq!(status, 200, "{reply}");
    let (_, list) = json("GET", &control("/faults"), &[], "").await;
    assert_eq!(
        (&list["faults"][0]["id"], &list["faults"][0]["fault"]["method"]),
        (&reply["id"], &"SignBlob".into())
    );
    let (status, refused) = rest(&emulator, EMAIL, "signBlob", "any", "{}").await;
    assert_eq!(status, 429);
    assert_eq!(refused["error"]["details"][0]["reason"], "RATE_LIMIT_EXCEEDED");
    assert_eq!(refused["error"]["details"][1]["retryDelay"], "2s");
    let (status, _) = json("DELETE", &control(&format!("/faults/{}", reply["id"])), &[], "").await;
    assert_eq!(status, 404, "it has struck, and is gone");
    for bad in [
        r#"{"effect": "explode"}"#,
        r#"{"effect": "hang", "color": 1}"#,
        r#"{"effect": "status", "code": "OK"}"#,
        r#"["hang"]"#,
        "{",
    ] {
        let (status, reply) = json("POST", &control("/faults"), &[], bad).await;
        assert_eq!(status, 400, "{bad}: {reply}");
    }

    let (_, journal) = json("GET", &control("/journal?method=signBlob"), &[], "").await;
    let entry = &journal["entries"][0];
    assert_eq!((&entry["protocol"], &entry["outcome"]["fault"]), (&"rest".into(), &true.into()), "{journal}");
    json("DELETE", &control("/journal"), &[], "").await;
    assert_eq!(json("GET", &control("/journal"), &[], "").await.1["entries"], value!([]));

    let (_, clock) = json("POST", &control("/clock"), &[], r#"{"advance": "60s", "skew": "-600s"}"#).await;
    assert_eq!((&clock["advanced"], &clock["skew"]), (&"60s".into(), &"-600s".into()));

    let policy =
        value!({"tokens": [{"token": "t", "principal": "user:a@b.c"}], "serviceAccounts": {EMAIL: {}}});
    let (status, reply) = json("PUT", &control("/policy"), &[], policy.to_string()).await;
    assert_eq!(status, 200, "{reply}");
    let (status, reply) = json("PUT", &control("/policy"), &[], r#"{"serviceAccounts": {"x": {}}}"#).await;
    assert_eq!(
        (status, &reply["error"]["details"][0]["fieldViolations"][0]["field"]),
        (400, &"serviceAccounts[\"x\"]".into())
    );
    let question =
        value!({"principal": "user:a@b.c", "serviceAccount": EMAIL, "method": "generateAccessToken"})
            .to_string();
    let (_, answer) = json("POST", &control("/check"), &[], question.clone()).await;
    assert_eq!((&answer["allowed"], &answer["hop"]), (&false.into(), &0.into()));
    let grant = value!({"member": "user:a@b.c", "role": TOKEN_CREATOR, "serviceAccount": EMAIL}).to_string();
    json("POST", &control("/grants"), &[], grant.clone()).await;
    assert_eq!(json("POST", &control("/check"), &[], question.clone()).await.1["allowed"], true);
    assert_eq!(json("DELETE", &control("/grants"), &[], grant.clone()).await.0, 200);
    assert_eq!(json("DELETE", &control("/grants"), &[], grant).await.0, 404);
    assert_eq!(json("POST", &control("/check"), &[], question).await.1["allowed"], false);
    assert_eq!(json("GET", &control("/policy"), &[], "").await.1["tokens"][0]["principal"], "user:a@b.c");

    let (_, file) = json("GET", &control(&format!("/fixtures/service_account/{EMAIL}")), &[], "").await;
    assert_eq!(
        file.to_string(),
        serde_json::from_str::<Value>(&emulator.service_account_key_json(EMAIL)).unwrap().to_string()
    );
    let (_, key) = json("POST", &control(&format!("/keys/{EMAIL}/rotate")), &[], "").await;
    assert!(key["keyId"].is_string());
    assert_eq!(json("POST", &control("/reset"), &[], "").await.0, 200);
    assert_eq!(json("GET", &control("/policy"), &[], "").await.1, Value::Null);
}
