//! The program `iamcreds emulator`, and the transcripts of its page.
#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/emulator.rs"]
mod support;

use std::process::Command;

use gcp_iam_credentials::emulator::{Emulator, Policy};

const PAGE: &str = include_str!("../docs/emulator.md");
const POLICY: &str = include_str!("../docs/policy.json");

/// The commands of the page with the output that it shows for each.
fn transcripts() -> Vec<(String, String)> {
    let mut list: Vec<(String, String)> = Vec::new();
    for block in PAGE.split("```console\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        let mut in_command = false;
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                list.push((command.to_owned(), String::new()));
                in_command = true;
            } else {
                let (command, output) = list.last_mut().expect("a block starts with a command");
                // A command goes on over indented lines, until its output starts.
                in_command = in_command && line.starts_with("    ");
                let into = if in_command { command } else { output };
                into.push('\n');
                into.push_str(line);
            }
        }
    }
    list
}

/// Whether `actual` is like `shown`, where `…` stands for anything.
fn is_like(shown: &str, actual: &str) -> bool {
    let mut parts = shown.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = actual.strip_prefix(first) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Whether the machine has what the page's readers have; a Rust toolchain alone does not bring it.
fn has_shell_and_curl() -> bool {
    let works =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|it| it.status.success());
    works("bash") && works("curl")
}

#[tokio::test]
async fn the_transcripts_of_the_page_are_true() {
    if !has_shell_and_curl() {
        eprintln!("not run: bash or curl is missing");
        return;
    }
    let emulator = Emulator::builder().policy(Policy::from_json(POLICY).unwrap()).start().await.unwrap();
    let transcripts = transcripts();
    assert!(transcripts.len() >= 9, "{transcripts:?}");
    for (command, shown) in transcripts {
        let command = command.replace("http://127.0.0.1:8095", emulator.endpoint());
        let output = Command::new("bash").args(["-c", &command]).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        let actual = String::from_utf8(output.stdout).unwrap();
        assert!(is_like(shown.trim(), actual.trim()), "{command}\nshown: {shown}\nactual: {actual}");
    }
}

#[test]
fn likeness_is_told_from_difference() {
    for (shown, actual, like) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a…", "abc", true),
        ("a…c", "abc", true),
        ("a…c", "abcd", false),
        ("a…b…c", "a-b-c", true),
        ("a…b…c", "a-c", false),
    ] {
        assert_eq!(is_like(shown, actual), like, "{shown} {actual}");
    }
}

#[cfg(all(feature = "cli", unix))]
mod program {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Stdio};

    use serde_json::Value;

    use super::*;
    use support::json;

    fn start(arguments: &[&str]) -> (Child, Vec<String>) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_iamcreds"))
            .args(["emulator", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines =
            BufReader::new(child.stdout.take().unwrap()).lines().take(2).map(Result::unwrap).collect();
        (child, lines)
    }

    fn signal(child: &Child, name: &str) {
        assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
    }

    #[tokio::test]
    async fn it_says_where_it_is_and_stops_when_told() {
        for name in ["-INT", "-TERM"] {
            let (mut child, lines) = start(&[]);
            let endpoint = lines[0].strip_prefix("listening on ").unwrap().to_owned();
            let host = endpoint.strip_prefix("http://").unwrap();
            assert_eq!(lines[1], format!("export IAM_CREDENTIALS_EMULATOR_HOST={host}"));
            let (status, index) = json("GET", &format!("{endpoint}/emulator/"), &[], "").await;
            assert_eq!((status, &index["endpoint"]), (200, &Value::from(endpoint)));
            signal(&child, name);
            assert!(child.wait().unwrap().success(), "{name}");
        }
    }

    #[tokio::test]
    async fn it_takes_a_policy_and_writes_its_authority() {
        let folder = tempfile::tempdir().unwrap();
        let (policy, ca) = (folder.path().join("policy.json"), folder.path().join("ca.pem"));
        std::fs::write(&policy, POLICY).unwrap();
        let (policy_text, ca_text) = (policy.to_str().unwrap(), ca.to_str().unwrap());
        let (mut child, lines) =
            start(&["--policy", policy_text, "--tls", "--ca-out", ca_text, "--log", "info"]);
        let endpoint = lines[0].strip_prefix("listening on ").unwrap();
        assert!(endpoint.starts_with("https://127.0.0.1:"));
        let output = Command::new("curl")
            .args(["-s", "--cacert", ca_text, &format!("{endpoint}/emulator/policy")])
            .output();
        let shown: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        assert_eq!(shown["tokens"][0]["token"], "alice-token");
        signal(&child, "-TERM");
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy.json");
        std::fs::write(
            &policy,
            r#"{"serviceAccounts": {"sa@p.q": {"grants": [{"members": ["me"], "role": "r"}]}}}"#,
        )
        .unwrap();
        let run = |arguments: &[&str]| {
            let output = Command::new(env!("CARGO_BIN_EXE_iamcreds"))
                .arg("emulator")
                .args(arguments)
                .output()
                .unwrap();
            assert!(!output.status.success(), "{output:?}");
            String::from_utf8(output.stderr).unwrap()
        };
        let told = run(&["--listen", "127.0.0.1:0", "--policy", policy.to_str().unwrap()]);
        assert!(
            told.contains("policy.json")
                && told.contains(r#"serviceAccounts["sa@p.q"].grants[0].members[0]"#),
            "{told}"
        );
        assert!(run(&["--policy", "/no/such/file"]).contains("/no/such/file"));
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        assert!(run(&["--listen", &address]).contains(&address));
        assert!(run(&["--listen", "nowhere"]).contains("nowhere"));
        assert!(run(&["--ca-out", "x"]).contains("--tls"));
    }
}
