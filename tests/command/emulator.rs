//! `iamcreds emulator`: its address, its files, and how it stops.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::program::signal;
use crate::support::emulator::json;

const POLICY: &str = include_str!("../../docs/policy.json");

fn start(arguments: &[&str]) -> (Child, Vec<String>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_iamcreds"))
        .arg("emulator")
        .args(if arguments.contains(&"--listen") { &[][..] } else { &["--listen", "127.0.0.1:0"] })
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(2).map(Result::unwrap).collect();
    (child, lines)
}

#[tokio::test]
async fn the_emulator_command_prints_its_address_and_stops_on_a_signal() {
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
async fn the_emulator_command_ends_with_the_program_that_started_it() {
    for arguments in [&["--until-stdin-ends"][..], &[]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_iamcreds"))
            .args(["emulator", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let endpoint = lines.next().unwrap().unwrap().strip_prefix("listening on ").unwrap().to_owned();
        // What is written has no meaning.
        stdin.write_all(b"reset\n\n").unwrap();
        let page = format!("{endpoint}/emulator/");
        assert_eq!(json("GET", &page, &[], "").await.0, 200, "{arguments:?}");
        drop(stdin);
        if arguments.is_empty() {
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(json("GET", &page, &[], "").await.0, 200, "without the option, it doesn't end");
            signal(&child, "-TERM");
        }
        assert!(child.wait().unwrap().success(), "{arguments:?}");
    }
}

/// conf: A22
#[tokio::test]
async fn the_emulator_command_allows_further_hosts() {
    let (mut child, lines) = start(&["--allow-host", "one.test", "--allow-host", "two.test"]);
    let page = format!("{}/emulator/", lines[0].strip_prefix("listening on ").unwrap());
    for (host, expected) in [("one.test", 200), ("two.test:80", 200), ("three.test", 403)] {
        let (status, reply) = json("GET", &page, &[("host", host)], "").await;
        assert_eq!(status, expected, "{host}: {reply}");
    }
    signal(&child, "-TERM");
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn a_signal_lets_the_emulator_command_finish_its_replies_and_a_second_one_does_not() {
    for (effect, expected) in [("delay", Some(200)), ("hang", None)] {
        let (mut child, lines) = start(&[]);
        let endpoint = lines[0].strip_prefix("listening on ").unwrap().to_owned();
        let fault = serde_json::json!({"effect": effect, "delay": "0.5s"}).to_string();
        json("POST", &format!("{endpoint}/emulator/faults"), &[], fault).await;
        let certs = format!("{endpoint}/oauth2/v3/certs");
        let call =
            std::thread::spawn(move || Command::new("curl").args(["-sw%{http_code}", &certs]).output());
        let journal = format!("{endpoint}/emulator/journal");
        while json("GET", &journal, &[], "").await.1["entries"] == serde_json::json!([]) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let start = Instant::now();
        signal(&child, "-TERM");
        if expected.is_none() {
            std::thread::sleep(Duration::from_millis(200));
            signal(&child, "-TERM");
        }
        assert!(child.wait().unwrap().success());
        assert!(start.elapsed() < Duration::from_secs(4), "{effect}: {:?}", start.elapsed());
        let printed = String::from_utf8(call.join().unwrap().unwrap().stdout).unwrap();
        assert_eq!(printed.ends_with("200"), expected.is_some(), "{printed}");
    }
}

#[tokio::test]
async fn the_emulator_command_reads_a_policy_and_writes_its_certificate_authority() {
    let folder = tempfile::tempdir().unwrap();
    let (policy, ca) = (folder.path().join("policy.json"), folder.path().join("ca.pem"));
    std::fs::write(&policy, POLICY).unwrap();
    let (policy_text, ca_text) = (policy.to_str().unwrap(), ca.to_str().unwrap());
    let (mut child, lines) = start(&["--policy", policy_text, "--tls", "--ca-out", ca_text, "-v"]);
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

/// conf: S3
#[tokio::test]
async fn the_emulator_command_keeps_its_certificate_authority_and_serves_both_schemes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name| folder.path().join(name).to_str().unwrap().to_owned();
    let kept = path("authority.pem");
    let mut certificates = Vec::new();
    for run in ["first.pem", "second.pem"] {
        let ca = path(run);
        let (mut child, lines) = start(&["--listen", "localhost:0", "--ca", &kept, "--ca-out", &ca]);
        let port = lines[0].strip_prefix("listening on http://127.0.0.1:").unwrap();
        // The authority of the first run is good for the second one.
        let trusted = path("first.pem");
        for scheme in ["http", "https"] {
            let page = format!("{scheme}://localhost:{port}/healthz");
            let output = Command::new("curl").args(["-sS", "--cacert", &trusted, &page]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), "ok\n", "{page}: {:?}", output.stderr);
        }
        certificates.push(std::fs::read_to_string(&ca).unwrap());
        signal(&child, "-TERM");
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(certificates[0], certificates[1]);
    assert!(!certificates[0].contains("PRIVATE KEY"), "{certificates:?}");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&kept).unwrap());
    assert_eq!(mode & 0o777, 0o600, "others can read the key");
}

#[test]
fn errors_are_printed_with_the_argument_that_caused_them() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.json");
    std::fs::write(
        &policy,
        r#"{"serviceAccounts": {"sa@p.q": {"grants": [{"members": ["me"], "role": "r"}]}}}"#,
    )
    .unwrap();
    let run = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_iamcreds")).arg("emulator").args(arguments).output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let printed = run(&["--listen", "127.0.0.1:0", "--policy", policy.to_str().unwrap()]);
    assert!(
        printed.contains("policy.json")
            && printed.contains(r#"serviceAccounts["sa@p.q"].grants[0].members[0]"#),
        "{printed}"
    );
    assert!(run(&["--policy", "/no/such/file"]).contains("/no/such/file"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(run(&["--listen", &address]).contains(&address));
    assert!(run(&["--listen", "127.0.0.1:0", "--allow-host", "a:80"]).contains("a:80"));
    assert!(run(&["--listen", "nowhere"]).contains("nowhere"));
    std::fs::write(&policy, "no authority").unwrap();
    let printed = run(&["--listen", "127.0.0.1:0", "--ca", policy.to_str().unwrap()]);
    assert!(printed.contains("policy.json") && printed.contains("`certificate_authority`"), "{printed}");
}
