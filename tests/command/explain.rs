//! `iamcreds explain`: which credentials, and why. Nothing is sent.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use gcp_iam_credentials::emulator::{Emulator, ExternalAccountFile};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{BUILDER, DEPLOYER, Run, iamcreds, run, shop};

const GCLOUD_FILE: &str = "application_default_credentials.json";
const SECRET: &str = "the-secret-token";

/// Returns the reason in what was printed.
fn reason(done: Run) -> String {
    let printed = done.ok();
    let reason = printed.lines().find_map(|line| line.strip_prefix("reason: "));
    reason.unwrap_or_else(|| panic!("no reason in {printed}")).to_owned()
}

/// A machine with a credential of every kind, on which nothing may be asked and nothing run.
struct Machine {
    emulator: Emulator,
    folder: TempDir,
    metadata_server: TcpListener,
}

impl Machine {
    async fn start() -> Self {
        let (emulator, folder) = (shop().await, tempfile::tempdir().unwrap());
        let metadata_server = TcpListener::bind("127.0.0.1:0").unwrap();
        metadata_server.set_nonblocking(true).unwrap();
        let machine = Self { emulator, folder, metadata_server };
        for place in ["home/.config/gcloud", "chosen"] {
            fs::create_dir_all(machine.path(place)).unwrap();
            let login = machine.emulator.authorized_user_json("alice@example.com");
            fs::write(machine.path(&format!("{place}/{GCLOUD_FILE}")), login).unwrap();
        }
        fs::write(machine.path("key.json"), machine.emulator.service_account_key_json(BUILDER)).unwrap();
        fs::write(machine.path("token"), SECRET).unwrap();
        // It leaves a trace if it is run.
        let gcloud = machine.path("gcloud");
        fs::write(&gcloud, format!("#!/bin/sh\ntouch {}\n", machine.path("was_run"))).unwrap();
        fs::set_permissions(&gcloud, fs::Permissions::from_mode(0o755)).unwrap();
        machine
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Explains the chain to the deployer, with a variable.
    fn explain(&self, arguments: &str, (name, value): (&str, &str)) -> Run {
        let line = format!("explain --target {DEPLOYER} {arguments}");
        let mut command = iamcreds(line.split_whitespace());
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        let metadata_host = self.metadata_server.local_addr().unwrap().to_string();
        command.env("GCE_METADATA_HOST", metadata_host).env("PATH", path).env(name, value);
        let done = run(&mut command);
        assert!(!done.stdout.contains(SECRET) && !done.stdout.contains("PRIVATE"), "{done:?}");
        let hop =
            format!("impersonates: {DEPLOYER}\n  scopes: https://www.googleapis.com/auth/cloud-platform\n");
        assert!(done.stdout.contains(&hop), "{done:?}");
        done
    }

    fn assert_untouched(&self) {
        let emulator = &self.emulator;
        assert_eq!(
            (emulator.journal().entries().len(), emulator.connections()),
            (0, 0),
            "something was sent"
        );
        assert!(self.metadata_server.accept().is_err(), "the metadata server was asked");
        assert!(!self.folder.path().join("was_run").exists(), "gcloud was run");
    }
}

/// conf: I52
#[tokio::test]
async fn each_source_is_explained_with_its_reason_and_nothing_is_sent_or_run() {
    let machine = Machine::start().await;
    let (key, token) = (machine.path("key.json"), machine.path("token"));
    let (key_file, token_file) = (format!("--credentials {key}"), format!("--source-token-file {token}"));
    let (home, chosen) = (machine.path("home"), machine.path("chosen"));
    for (arguments, variable, expected) in [
        (&*key_file, ("IAMCREDS_SOURCE_TOKEN", SECRET), "--credentials names the file"),
        (&*token_file, ("IAMCREDS_SOURCE_TOKEN", "x"), "--source-token-file names the file with the token"),
        ("", ("IAMCREDS_SOURCE_TOKEN", SECRET), "IAMCREDS_SOURCE_TOKEN contains the token"),
        ("", ("GOOGLE_APPLICATION_CREDENTIALS", &*key), "GOOGLE_APPLICATION_CREDENTIALS names it"),
        (
            "",
            ("HOME", &*home),
            "gcloud stores its login there, and GOOGLE_APPLICATION_CREDENTIALS is not set",
        ),
        (
            "",
            ("CLOUDSDK_CONFIG", &*chosen),
            "gcloud stores its login there (CLOUDSDK_CONFIG names the folder), and",
        ),
        ("", ("X", ""), "no credential file was found; the first fetch decides which of the two is used"),
    ] {
        let arguments = format!("{arguments} --endpoint {}", machine.emulator.endpoint());
        let reason = reason(machine.explain(&arguments, variable));
        assert!(reason.starts_with(expected), "{variable:?}: {reason}");
    }
    let host = machine.emulator.address().to_string();
    let mut done = machine.explain("", ("IAM_CREDENTIALS_EMULATOR_HOST", &host));
    assert!(std::mem::take(&mut done.stderr).contains("as an invented principal"), "{done:?}");
    assert_eq!(reason(done), "IAM_CREDENTIALS_EMULATOR_HOST names an emulator: the token is invented");
    machine.assert_untouched();
}

/// conf: I52
#[tokio::test]
async fn the_json_has_the_chain_the_quota_project_and_stable_names() {
    let emulator = shop().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("job.json");
    let options = ExternalAccountFile::new().impersonate(DEPLOYER);
    fs::write(&file, emulator.external_account_json("job", &options).unwrap()).unwrap();
    let line = format!(
        "explain --credentials {} --target {BUILDER} --via {BUILDER} --quota-project billed --format json --endpoint {}",
        file.display(),
        emulator.endpoint()
    );
    let printed = run(&mut iamcreds(line.split_whitespace())).ok();
    let fields: Value = serde_json::from_str(&printed).unwrap();
    let names: Vec<&String> = fields.as_object().unwrap().keys().collect();
    let expected = [
        "access_boundary",
        "acts_as",
        "audience",
        "description",
        "emulator",
        "endpoint",
        "file",
        "hops",
        "identity_change",
        "principal",
        "principal_certain",
        "quota_project",
        "reason",
        "scopes",
        "universe_domain",
    ];
    assert_eq!(names, expected);
    assert_eq!((&fields["acts_as"], &fields["quota_project"]), (&BUILDER.into(), &"billed".into()));
    assert_eq!(fields["principal"], Value::Null, "an exchange would tell");
    let hops = fields["hops"].as_array().unwrap();
    assert_eq!((hops.len(), &hops[0]["target"]), (2, &DEPLOYER.into()));
    assert_eq!(hops[1]["delegates"], serde_json::json!([BUILDER]));
    assert_eq!((&hops[1]["lifetime"], &hops[1]["endpoint"]), (&3600.into(), &emulator.endpoint().into()));
    assert_eq!(emulator.connections(), 0);
}

/// conf: I52
#[test]
fn a_file_that_cannot_be_used_is_named_and_controls_no_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("user.json");
    let path = file.to_str().unwrap();
    let (what, _) = run(&mut iamcreds(["explain", "--credentials", path])).two_lines(2);
    assert!(what.contains("user.json"), "{what}");
    let user = serde_json::json!({
        "type": "authorized_user", "client_id": "i", "client_secret": "s3cret", "refresh_token": "r3fresh",
        "account": "me\u{1b}[2J\nprincipal: root\u{202e}\u{9b}",
    });
    fs::write(&file, user.to_string()).unwrap();
    for format in ["text", "json"] {
        let printed = run(&mut iamcreds(["explain", "--credentials", path, "--format", format])).ok();
        assert!(!printed.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{printed:?}");
        assert!(!printed.lines().any(|line| line.starts_with("principal: root")), "{printed}");
        assert!(!printed.contains("s3cret") && !printed.contains("r3fresh"), "{printed}");
    }
}
