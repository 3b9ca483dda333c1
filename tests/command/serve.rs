//! `iamcreds serve`: its sockets, its policy and certificates while it runs, and how it stops.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Fault};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::program::{BUILDER, DEPLOYER, alice, run, shop, signal};
use crate::support::authority::Authority;
use crate::support::emulator::text;

const TOKEN: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
const FLAVOR: (&str, &str) = ("metadata-flavor", "Google");

/// A broker in another process.
struct Serve {
    child: Child,
    /// What it says about its sockets.
    listening: Vec<String>,
    log: Receiver<String>,
    folder: TempDir,
}

impl Serve {
    async fn start(emulator: &Emulator, policy: &str, sockets: &str, lines: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("policy.json"), policy).unwrap();
        let sockets = sockets.replace("FOLDER", folder.path().to_str().unwrap());
        Self::start_in(folder, emulator, &sockets, lines)
    }

    fn start_in(folder: TempDir, emulator: &Emulator, sockets: &str, lines: usize) -> Self {
        let arguments = format!("serve --policy {} {sockets}", folder.path().join("policy.json").display());
        let mut command = alice(emulator, &arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let listening: Vec<String> = out.lines().take(lines).map(Result::unwrap).collect();
        let (sender, log) = channel();
        let errors = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            errors.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        assert_eq!(listening.len(), lines, "{:?}", log.iter().collect::<Vec<_>>());
        Self { child, listening, log, folder }
    }

    /// Returns the address in a line.
    fn address(&self, line: usize) -> &str {
        self.listening[line].split(' ').nth(2).unwrap()
    }

    async fn get(&self, line: usize, path: &str) -> (u16, String) {
        text("GET", &format!("http://{}{path}", self.address(line)), &[FLAVOR], "").await
    }

    fn write_policy(&self, policy: &str) {
        fs::write(self.folder.path().join("policy.json"), policy).unwrap();
    }

    /// Waits for a line of the log that contains a text.
    fn wait_for(&self, part: &str) -> String {
        loop {
            let line =
                self.log.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("no {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    fn stop(mut self) {
        signal(&self.child, "-TERM");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// Returns a policy that lets processes of this user act as an account.
fn policy(target: &str) -> String {
    let uid = fs::metadata("/proc/self").unwrap().uid();
    let scope = gcp_iam_credentials::scopes::CLOUD_PLATFORM;
    format!(
        r#"{{"grants": [{{"callers": [{{"uid": {uid}}}], "targets": ["{target}"], "scopes": ["{scope}"]}}]}}"#
    )
}

fn account_of(emulator: &Emulator, reply: &str) -> String {
    let reply: serde_json::Value = serde_json::from_str(reply).expect(reply);
    let token = emulator.verify_access_token(reply["access_token"].as_str().unwrap()).unwrap();
    token.principal().strip_prefix("serviceAccount:").unwrap().to_owned()
}

/// conf: Y18
#[tokio::test]
async fn serve_says_where_it_listens_and_serves_there() {
    let emulator = shop().await;
    let sockets = format!(
        "--loopback 127.0.0.1:0 --loopback 127.0.0.1:0={BUILDER} --unix FOLDER/broker.sock \
         --unix-for-all FOLDER/a=b.sock={BUILDER} --operations 127.0.0.1:0"
    );
    let serve = Serve::start(&emulator, &policy(BUILDER), &sockets, 5).await;
    assert!(serve.listening[1].ends_with(&format!(" for {BUILDER}")), "{:?}", serve.listening);
    assert!(Path::new(serve.address(2)).exists());
    assert!(Path::new(serve.address(3)).ends_with("a=b.sock"), "{:?}", serve.listening);
    assert!(serve.listening[3].ends_with(&format!(" for {BUILDER}")), "{:?}", serve.listening);
    assert!(serve.listening[4].ends_with(" for operations"));
    for line in 0..2 {
        let (status, reply) = serve.get(line, TOKEN).await;
        assert_eq!(status, 200, "{reply}");
        assert_eq!(account_of(&emulator, &reply), BUILDER);
    }
    assert_eq!(serve.get(4, TOKEN).await.0, 404);
    assert_eq!(serve.get(4, "/healthz").await.0, 200);
    let (_, metrics) = serve.get(4, "/metrics").await;
    assert!(metrics.contains("gcp_iam_credentials"), "{metrics}");
    assert!(!metrics.contains('@') && !metrics.contains("ya29"), "{metrics}");
    serve.stop();
}

/// conf: Y20
#[tokio::test]
async fn serve_reads_a_changed_policy_and_keeps_the_old_one_if_the_new_one_has_a_mistake() {
    let emulator = shop().await;
    let serve = Serve::start(&emulator, &policy(DEPLOYER), "--loopback 127.0.0.1:0", 1).await;
    let allowed = format!("/targets/{BUILDER}{TOKEN}");
    assert_eq!(serve.get(0, &allowed).await, (403, "not allowed\n".to_owned()));

    // The file changes, and nobody says so.
    serve.write_policy(&policy(BUILDER));
    serve.wait_for("is in force");
    assert_eq!(serve.get(0, &allowed).await.0, 200);

    serve.write_policy(&policy("no account"));
    let line = serve.wait_for("the policy before stays in force");
    assert!(line.contains("policy.json: invalid policy at grants[0].targets[0]: "), "{line}");
    assert!(serve.wait_for("fix: ").contains(r#"write, for example, "targets": "#));
    assert_eq!(serve.get(0, &allowed).await.0, 200);

    // At once, on a signal.
    serve.write_policy(&policy(DEPLOYER));
    signal(&serve.child, "-HUP");
    let asked = Instant::now();
    serve.wait_for("is in force");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(serve.get(0, &allowed).await.0, 403);
    serve.stop();
}

/// conf: Y1, Y18
#[tokio::test]
async fn serve_does_not_start_with_a_mistake() {
    let emulator = shop().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("policy.json"), policy(BUILDER)).unwrap();
    fs::write(path("mistake.json"), r#"{"grants": [{"callers": [{"uid": "1"}], "targets": ["a@b.c"]}]}"#)
        .unwrap();
    fs::write(path("empty.pem"), "").unwrap();
    let (good, bad, pem) = (path("policy.json"), path("mistake.json"), path("empty.pem"));
    for (arguments, code, expected) in [
        (format!("--policy {bad} --loopback 127.0.0.1:0"), 2, "grants[0].callers"),
        (format!("--policy {} --loopback 127.0.0.1:0", path("none.json")), 2, "none.json"),
        (format!("--policy {good}"), 2, "sockets"),
        (format!("--policy {good} --loopback 0.0.0.0:0"), 2, "loopback"),
        (format!("--policy {good} --loopback 127.0.0.1:0=nobody"), 2, "--loopback"),
        (format!("--policy {good} --unix {good}"), 2, "can't listen on"),
        (format!("--policy {good} --tls 127.0.0.1:0"), 2, "--tls-certificate"),
        (
            format!(
                "--policy {good} --tls 127.0.0.1:0 --tls-certificate {pem} --tls-key {pem} --tls-client-ca {pem}"
            ),
            2,
            "authorities",
        ),
    ] {
        let run = run(&mut alice(&emulator, &format!("serve {arguments}")));
        assert_eq!((run.code, run.stdout.as_str()), (Some(code), ""), "{arguments}: {run:?}");
        assert!(run.stderr.contains(expected), "{arguments}: {run:?}");
    }
    assert!(emulator.journal().entries().is_empty());
}

/// conf: Y17
#[tokio::test]
async fn serve_stops_in_order() {
    let emulator = shop().await;
    let sockets = "--loopback 127.0.0.1:0 --operations 127.0.0.1:0 --drain-delay 1s";
    let serve = Serve::start(&emulator, &policy(BUILDER), sockets, 2).await;
    // It is ready once its source has given a token.
    let start = Instant::now();
    while serve.get(1, "/readyz").await.0 != 200 {
        assert!(start.elapsed() < Duration::from_secs(20), "it isn't ready");
        sleep(Duration::from_millis(10)).await;
    }
    emulator.faults().inject(Fault::delay(Duration::from_millis(1_500)));
    let url = format!("http://{}{TOKEN}", serve.address(0));
    let asked = tokio::spawn(async move { text("GET", &url, &[FLAVOR], "").await });
    while emulator.journal().entries().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    signal(&serve.child, "-TERM");
    sleep(Duration::from_millis(300)).await;
    assert_eq!(serve.get(1, "/readyz").await, (503, "not ready\n".to_owned()), "it still serves");
    assert_eq!(asked.await.unwrap().0, 200, "the request that it had");
    let mut serve = serve;
    assert!(serve.child.wait().unwrap().success());
}

/// conf: Y13
#[tokio::test]
async fn serve_uses_certificates_that_are_replaced() {
    let emulator = shop().await;
    let folder = tempfile::tempdir().unwrap();
    let write = |authority: &Authority| {
        let (certificate, key) = authority.issue("localhost");
        for (name, pem) in [("tls.pem", &certificate), ("tls.key", &key), ("ca.pem", &authority.pem())] {
            fs::write(folder.path().join(name), pem).unwrap();
        }
    };
    let (old, new) = (Authority::new(), Authority::new());
    write(&old);
    fs::write(folder.path().join("policy.json"), policy(BUILDER)).unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let sockets = format!(
        "--tls 127.0.0.1:0 --tls-certificate {} --tls-key {} --tls-client-ca {}",
        at("tls.pem"),
        at("tls.key"),
        at("ca.pem")
    );
    let kept = tempfile::tempdir().unwrap();
    fs::copy(at("policy.json"), kept.path().join("policy.json")).unwrap();
    let serve = Serve::start_in(kept, &emulator, &sockets, 1);
    assert!(serve.listening[0].ends_with(" with TLS"));
    let health = async |authority: &Authority| {
        let (certificate, key) = authority.issue_uri("spiffe://example.org/probe");
        let ca = folder.path().join("probe-ca.pem");
        fs::write(&ca, authority.pem()).unwrap();
        fs::write(folder.path().join("probe.pem"), certificate + &key).unwrap();
        let port = serve.address(0).rsplit(':').next().unwrap().to_owned();
        let probe = folder.path().join("probe.pem");
        let url = format!("https://localhost:{port}/healthz");
        let output = tokio::process::Command::new("curl")
            .args(["-sS", "--max-time", "10", "--cacert"])
            .arg(&ca)
            .arg("--cert")
            .arg(&probe)
            .arg(&url)
            .output()
            .await
            .unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat()
    };
    assert_eq!(health(&old).await, "ok\n");
    write(&new);
    let start = Instant::now();
    while health(&new).await != "ok\n" {
        assert!(start.elapsed() < Duration::from_secs(20), "the new certificate isn't used");
        sleep(Duration::from_millis(200)).await;
    }
    assert!(health(&old).await.starts_with("curl: "));
    serve.stop();
}

/// conf: Y22
#[tokio::test]
async fn serve_logs_refusals_as_json_without_secrets() {
    let emulator = shop().await;
    let sockets = "--loopback 127.0.0.1:0 --log-format json";
    let serve = Serve::start(&emulator, &policy(BUILDER), sockets, 1).await;
    let (_, reply) = serve.get(0, TOKEN).await;
    let secret: serde_json::Value = serde_json::from_str(&reply).unwrap();
    assert_eq!(serve.get(0, &format!("/targets/{DEPLOYER}{TOKEN}")).await.0, 403);
    let line = serve.wait_for("refused a token");
    let event: serde_json::Value = serde_json::from_str(&line).expect(&line);
    assert_eq!(event["level"], "INFO");
    assert_eq!(event["target"], DEPLOYER, "{line}");
    assert!(event["caller"].as_str().unwrap().starts_with("uid "), "{line}");
    assert_eq!(event["reason"], "no grant for the target is for the caller");
    assert!(!line.contains(secret["access_token"].as_str().unwrap()));
    serve.stop();
}
