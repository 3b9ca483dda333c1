//! The HTTP pages that control an emulator.

use gcp_iam_credentials::emulator::{Emulator, Role};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json as value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::emulator::{EMAIL, http, json, rest, start};

/// Sends a request to a control page, and returns the status and the body of the reply.
async fn control(emulator: &Emulator, method: &str, path: &str, body: &str) -> (u16, Value) {
    json(method, &format!("{}/emulator{path}", emulator.endpoint()), &[], body.to_owned()).await
}

#[tokio::test]
async fn the_index_lists_the_pages_and_healthz_answers() {
    let emulator = start().await;
    let (_, index) = control(&emulator, "GET", "/", "").await;
    assert!(index["pages"].as_object().unwrap().len() > 15, "{index}");
    assert_eq!(http("GET", &format!("{}/healthz", emulator.endpoint()), &[], "").await.2, "ok\n");
}

#[tokio::test]
async fn an_injected_fault_is_listed_applied_and_recorded() {
    let emulator = start().await;
    let fault = r#"{"effect": "status", "code": "RESOURCE_EXHAUSTED", "message": "slow down", "method": "SignBlob",
        "times": 1, "retryDelay": "2s", "reason": "RATE_LIMIT_EXCEEDED", "metadata": {"quota": "q"}}"#;
    let (status, injected) = control(&emulator, "POST", "/faults", fault).await;
    assert_eq!(status, 200, "{injected}");
    let (_, list) = control(&emulator, "GET", "/faults", "").await;
    assert_eq!(list["faults"][0]["id"], injected["id"], "{list}");
    assert_eq!(list["faults"][0]["fault"]["method"], "SignBlob", "{list}");

    let (status, refused) = rest(&emulator, EMAIL, "signBlob", "any", "{}").await;
    assert_eq!(status, 429);
    assert_eq!(refused["error"]["details"][0]["reason"], "RATE_LIMIT_EXCEEDED");
    assert_eq!(refused["error"]["details"][1]["retryDelay"], "2s");
    let (status, _) = control(&emulator, "DELETE", &format!("/faults/{}", injected["id"]), "").await;
    assert_eq!(status, 404, "a fault for one call is removed after it");

    let (_, journal) = control(&emulator, "GET", "/journal?method=signBlob", "").await;
    let entry = &journal["entries"][0];
    assert_eq!((&entry["protocol"], &entry["outcome"]["fault"]), (&"rest".into(), &true.into()), "{journal}");
    control(&emulator, "DELETE", "/journal", "").await;
    assert_eq!(control(&emulator, "GET", "/journal", "").await.1["entries"], value!([]));
}

/// conf: A21
#[tokio::test]
async fn an_invalid_fault_is_refused() {
    let emulator = start().await;
    for invalid in [
        r#"{"effect": "explode"}"#,
        r#"{"effect": "hang", "color": 1}"#,
        r#"{"effect": "hang", "share": 1.5}"#,
        r#"{"effect": "hang", "share": -0.1}"#,
        r#"{"effect": "hang", "share": 1e400}"#,
        r#"{"effect": "hang", "share": "NaN"}"#,
        r#"{"effect": "status", "code": "OK"}"#,
        r#"["hang"]"#,
        "{",
    ] {
        let (status, reply) = control(&emulator, "POST", "/faults", invalid).await;
        assert_eq!(status, 400, "{invalid}: {reply}");
    }
    assert_eq!(control(&emulator, "GET", "/faults", "").await.1["faults"], value!([]));
}

#[tokio::test]
async fn the_clock_can_be_advanced_and_skewed() {
    let emulator = start().await;
    let (_, clock) = control(&emulator, "POST", "/clock", r#"{"advance": "60s", "skew": "-600s"}"#).await;
    assert_eq!((&clock["advanced"], &clock["skew"]), (&"60s".into(), &"-600s".into()));
}

#[tokio::test]
async fn a_policy_can_be_replaced_checked_and_changed_by_grants() {
    let emulator = start().await;
    let policy =
        value!({"tokens": [{"token": "t", "principal": "user:a@b.c"}], "serviceAccounts": {EMAIL: {}}});
    let (status, reply) = control(&emulator, "PUT", "/policy", &policy.to_string()).await;
    assert_eq!(status, 200, "{reply}");

    let question =
        value!({"principal": "user:a@b.c", "serviceAccount": EMAIL, "method": "generateAccessToken"})
            .to_string();
    let check = async || control(&emulator, "POST", "/check", &question).await.1;
    let answer = check().await;
    assert_eq!((&answer["allowed"], &answer["hop"]), (&false.into(), &0.into()));

    let grant =
        value!({"member": "user:a@b.c", "role": Role::TOKEN_CREATOR, "serviceAccount": EMAIL}).to_string();
    control(&emulator, "POST", "/grants", &grant).await;
    assert_eq!(check().await["allowed"], true);
    assert_eq!(control(&emulator, "DELETE", "/grants", &grant).await.0, 200);
    assert_eq!(control(&emulator, "DELETE", "/grants", &grant).await.0, 404, "it is already revoked");
    assert_eq!(check().await["allowed"], false);
}

#[tokio::test]
async fn an_invalid_policy_names_the_field_and_leaves_the_old_one_in_force() {
    let emulator = start().await;
    let policy =
        value!({"tokens": [{"token": "t", "principal": "user:a@b.c"}], "serviceAccounts": {EMAIL: {}}});
    control(&emulator, "PUT", "/policy", &policy.to_string()).await;
    let (status, reply) = control(&emulator, "PUT", "/policy", r#"{"serviceAccounts": {"x": {}}}"#).await;
    let field = &reply["error"]["details"][0]["fieldViolations"][0]["field"];
    assert_eq!((status, field), (400, &r#"serviceAccounts["x"]"#.into()));
    let (_, in_force) = control(&emulator, "GET", "/policy", "").await;
    assert_eq!(in_force["tokens"][0]["principal"], "user:a@b.c");

    assert_eq!(control(&emulator, "POST", "/reset", "").await.0, 200);
    assert_eq!(
        control(&emulator, "GET", "/policy", "").await.1,
        Value::Null,
        "a reset restores the first policy, which was none"
    );
}

#[tokio::test]
async fn key_files_and_key_rotation_have_pages() {
    let emulator = start().await;
    let (_, file) = control(&emulator, "GET", &format!("/fixtures/service_account/{EMAIL}"), "").await;
    let expected: Value = serde_json::from_str(&emulator.service_account_key_json(EMAIL)).unwrap();
    assert_eq!(file, expected);
    let (_, first) = control(&emulator, "POST", &format!("/keys/{EMAIL}/rotate"), "").await;
    let (_, second) = control(&emulator, "POST", &format!("/keys/{EMAIL}/rotate"), "").await;
    assert!(first["keyId"].is_string(), "{first}");
    assert_ne!(first["keyId"], second["keyId"]);
}

/// conf: A22
#[tokio::test]
async fn the_control_pages_refuse_requests_of_foreign_hosts_and_pages() {
    let emulator = Emulator::builder()
        .public_url("http://emulator.test:8095")
        .allow_host("192.0.2.7")
        .start()
        .await
        .unwrap();
    let base = format!("http://{}", emulator.address());
    for (headers, expected) in [
        (&[][..], 200),
        (&[("host", "localhost")], 200),
        (&[("host", "emulator.test:8095")], 200),
        (&[("host", "192.0.2.7")], 200),
        (&[("host", "evil.example")], 403),
        (&[("origin", "http://emulator.test:8095")], 200),
        (&[("origin", "https://evil.example")], 403),
        (&[("origin", "null")], 403),
        (&[("sec-fetch-site", "cross-site")], 403),
    ] {
        for (method, path) in
            [("GET", "/emulator"), ("GET", "/emulator/journal"), ("POST", "/emulator/reset")]
        {
            let (status, reply) = json(method, &format!("{base}{path}"), headers, "").await;
            assert_eq!(status, expected, "{method} {path} {headers:?}: {reply}");
        }
        let (status, _, _) = http("GET", &format!("{base}/emulator/no/such/page"), headers, "").await;
        assert_eq!(status.as_u16(), if expected == 200 { 404 } else { 403 }, "{headers:?}");
        let (status, _, _) = http("GET", &format!("{base}/oauth2/v3/certs"), headers, "").await;
        assert_eq!(status, 200, "Google's services have many hosts, and reply to all pages");
    }
}

/// conf: A22
#[tokio::test]
async fn the_control_pages_refuse_http_1_0_without_a_host_and_foreign_hosts_over_http_2() {
    let emulator = start().await;
    let mut socket = TcpStream::connect(emulator.address()).await.unwrap();
    socket.write_all(b"GET /emulator/policy HTTP/1.0\r\n\r\n").await.unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.0 403"), "{reply}");

    for (host, expected) in [("127.0.0.1", 200), ("evil.example", 403)] {
        let stream = TcpStream::connect(emulator.address()).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get(format!("http://{host}/emulator/policy"));
        let reply = sender.send_request(request.body(String::new()).unwrap()).await.unwrap();
        assert_eq!(reply.status(), expected, "{host}");
    }
}

/// conf: A22
#[tokio::test]
async fn an_allowed_host_without_meaning_is_an_error() {
    for host in ["", "http://a", "a:80", "a/b", "*"] {
        let error = Emulator::builder().allow_host(host).start().await.unwrap_err().to_string();
        assert!(error.starts_with("invalid `allow_host`: "), "{error}");
    }
}
