//! The output of `iamcreds emulator`, which logs everything.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::Scene;
use crate::emulator_pages::traffic;
use crate::support::emulator::{EMAIL, text};

pub(crate) async fn run(scene: &Scene) {
    let token = scene.secrets.token("token in a policy");
    let refresh_token = scene.secrets.token("refresh token in a policy");
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.json");
    let document = json!({
        "serviceAccounts": {EMAIL: {"grants": [
            {"members": ["user:me@example.com"], "role": "roles/iam.serviceAccountTokenCreator"},
        ]}},
        "tokens": [{"token": token, "principal": "user:me@example.com"}],
        "users": {"me@example.com": {"refreshToken": refresh_token}},
    });
    std::fs::write(&policy, document.to_string()).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_iamcreds"))
        .args(["emulator", "--listen", "127.0.0.1:0", "-vvv", "--policy"])
        .arg(&policy)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).unwrap();
        text
    });
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = out.next().unwrap();
    let endpoint = first.strip_prefix("listening on ").unwrap().to_owned();

    traffic(scene, &endpoint, &token).await;
    let (_, shown) = text("GET", &format!("{endpoint}/emulator/policy"), &[], "").await;
    scene.secrets.saw(shown);
    let (_, journal) = text("GET", &format!("{endpoint}/emulator/journal"), &[], "").await;
    scene.shown.text("journal of the program", journal);
    child.kill().unwrap();
    child.wait().unwrap();

    let log = reader.join().unwrap();
    assert!(log.contains("a request to the emulator"), "{log}");
    scene.shown.text("log of the program", log);
    scene.shown.text("output of the program", out.collect::<Vec<_>>().join("\n"));
    refuses_a_policy(scene, &folder, &token);
}

/// A policy that can't be used is an error that doesn't repeat its tokens.
fn refuses_a_policy(scene: &Scene, folder: &tempfile::TempDir, token: &str) {
    let policy = folder.path().join("broken.json");
    for document in [
        json!({"tokens": [{"token": format!("{token} x"), "principal": "user:me@example.com"}]}).to_string(),
        json!({"tokens": [{"token": [token], "principal": "user:me@example.com"}]}).to_string(),
        json!({"users": {"me@example.com": {"refreshToken": {token: 1}}}}).to_string(),
        json!({"users": {"me@example.com": token}}).to_string(),
    ] {
        std::fs::write(&policy, document).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_iamcreds"))
            .args(["emulator", "--policy"])
            .arg(&policy)
            .output()
            .unwrap();
        assert!(!output.status.success());
        scene.shown.text("a refused policy", String::from_utf8(output.stderr).unwrap());
    }
}
