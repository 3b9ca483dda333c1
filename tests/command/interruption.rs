//! What is left after a signal in the middle of a command: nothing.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use gcp_iam_credentials::emulator::{Emulator, Fault};

use crate::program::{BUILDER, alice, run_with_input, shop, signal};
use crate::support::runtime::until;

/// The commands that wait for a service.
const WAITING: [&str; 6] = [
    "access-token --target T --out OUT",
    "id-token --target T --audience https://a.run.app --out OUT",
    "self-signed-jwt --target T --audience https://pubsub.googleapis.com/ --out OUT",
    "sign-blob INPUT --target T --out OUT",
    "sign-jwt INPUT --target T --out OUT",
    "diagnose --target T",
];

/// conf: I8
#[tokio::test]
async fn a_signal_ends_a_command_at_once_and_nothing_is_left() {
    let emulator = shop().await;
    emulator.faults().inject(Fault::hang());
    for arguments in WAITING {
        for (name, code) in [("-INT", 130), ("-TERM", 143)] {
            assert_ends(&emulator, arguments, name, code).await;
        }
    }
}

/// Starts a command, waits for its call, sends a signal, and looks at what is left.
async fn assert_ends(emulator: &Emulator, arguments: &str, name: &str, code: i32) {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (folder.path().join("input"), folder.path().join("out"));
    fs::write(&input, "{}").unwrap();
    let arguments = arguments
        .replace("--target T", &format!("--target {BUILDER}"))
        .replace("INPUT", input.to_str().unwrap())
        .replace("OUT", out.to_str().unwrap());
    emulator.journal().clear();
    let mut command = alice(emulator, &arguments);
    let child = command
        .env("TMPDIR", folder.path())
        .env("XDG_CACHE_HOME", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the call", || !emulator.journal().entries().is_empty()).await;
    let start = Instant::now();
    signal(&child, name);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments}: {output:?}");
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{arguments}: {output:?}");
    assert!(start.elapsed() < Duration::from_secs(5), "{arguments}: {:?}", start.elapsed());
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["input"], "{arguments}");
}

/// conf: I8
#[tokio::test]
async fn a_signal_while_standard_input_is_read_ends_the_command() {
    let emulator = shop().await;
    let mut command = alice(&emulator, &format!("sign-blob - --target {BUILDER}"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // The input stays open.
    let _input = child.stdin.take();
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert_eq!(emulator.connections(), 0);
    // The same command works if it is left alone.
    run_with_input(&mut alice(&emulator, &format!("sign-blob - --target {BUILDER}")), b"x").ok();
}
