//! What a run of `iamcreds` costs, from start to end of the process, side by side with a program that does
//! the same.
//!
//! `cargo bench --features cli --bench command` prints medians and their ratios. `COMMAND_RUNS=1000` makes
//! more runs than 200. The programs take turns, so that what else the machine does hits both.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark may fail")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use gcp_iam_credentials::emulator::Emulator;
use tokio::time::Instant;

const TARGET: &str = "sa@project.iam.gserviceaccount.com";
const SOURCE_TOKEN: &str = "of-a-person";

/// A program, and the one to compare it with.
struct Contest {
    name: &'static str,
    command: Command,
    reference: Command,
    /// The command may take this many times as long as the reference, and this much longer.
    goal: (f64, Duration),
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        // `cargo test --benches` only checks that it compiles.
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let emulator = runtime.block_on(Emulator::builder().start()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let runs = std::env::var("COMMAND_RUNS").map_or(200, |text| text.parse().expect("a number"));
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, emulator.ca_pem()).unwrap();
    let secure = emulator.endpoint().replace("http://127.0.0.1", "https://localhost");
    println!("{:<42} {:>10} {:>10} {:>7}  goal", "medians of whole processes", "iamcreds", "other", "ratio");
    for contest in [
        access_token("access-token, curl", emulator.endpoint(), None),
        access_token("access-token, curl, over TLS", &secure, Some(&ca)),
        cached("kubectl-credential from the cache, cat", emulator.endpoint(), folder.path()),
    ] {
        contest.run(runs);
    }
}

/// A token from the emulator, by its gRPC API and by its REST API.
fn access_token(name: &'static str, endpoint: &str, ca: Option<&Path>) -> Contest {
    let url = format!("{endpoint}/v1/projects/-/serviceAccounts/{TARGET}:generateAccessToken");
    let mut command = program("access-token", endpoint);
    let mut reference = Command::new("curl");
    reference.args(["-sSf", "-H", &format!("Authorization: Bearer {SOURCE_TOKEN}")]);
    reference.args(["-H", "Content-Type: application/json", &url]);
    reference.args([
        "-d",
        r#"{"scope": ["https://www.googleapis.com/auth/cloud-platform"], "lifetime": "3600s"}"#,
    ]);
    if let Some(ca) = ca {
        command.arg("--root-certificates").arg(ca);
        reference.arg("--cacert").arg(ca);
    }
    Contest { name, command, reference, goal: (2.0, Duration::ZERO) }
}

/// A token from the cache, and its file's content.
fn cached(name: &'static str, endpoint: &str, folder: &Path) -> Contest {
    let mut command = program("kubectl-credential", endpoint);
    command.env("XDG_CACHE_HOME", folder);
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    let mut reference = Command::new("/bin/cat");
    reference.arg(cached_file(&folder.join("iamcreds")));
    Contest { name, command, reference, goal: (2.0, Duration::from_millis(10)) }
}

fn cached_file(folder: &Path) -> PathBuf {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "json")).unwrap()
}

/// Returns a subcommand with nothing else in its environment.
fn program(subcommand: &str, endpoint: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iamcreds"));
    command.args([subcommand, "--target", TARGET, "--endpoint", endpoint]);
    command.env_clear().env("IAMCREDS_SOURCE_TOKEN", SOURCE_TOKEN);
    command
}

impl Contest {
    /// Runs both programs in turn, and prints a line.
    fn run(mut self, runs: usize) {
        let (mut ours, mut others) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            ours.push(time(&mut self.command));
            others.push(time(&mut self.reference));
        }
        let (ours, others) = (median(ours), median(others));
        let limit = others.mul_f64(self.goal.0) + self.goal.1;
        println!(
            "{:<42} {:>7.2} ms {:>7.2} ms {:>7.2}  {} (at most {:.2} ms)",
            self.name,
            ours.as_secs_f64() * 1e3,
            others.as_secs_f64() * 1e3,
            ours.as_secs_f64() / others.as_secs_f64(),
            if ours <= limit { "met" } else { "MISSED" },
            limit.as_secs_f64() * 1e3,
        );
    }
}

/// Runs a program to its end.
fn time(command: &mut Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status().unwrap();
    let time = start.elapsed();
    assert!(status.success(), "{command:?}");
    time
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
