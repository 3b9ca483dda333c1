//! What is left after a signal in the middle of a command: nothing.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gcp_iam_credentials::emulator::{Emulator, Fault};
use tokio::time::Instant;

use crate::program::{BUILDER, alice, iamcreds, run_with_input, shop, signal};
use crate::support::runtime::until;

/// The commands that wait for a service, and their standard input.
const WAITING: [(&str, &str); 14] = [
    ("access-token --target T --out OUT", ""),
    ("id-token --target T --audience https://a.run.app --out OUT", ""),
    ("self-signed-jwt --target T --audience https://pubsub.googleapis.com/ --out OUT", ""),
    ("sign-blob INPUT --target T --out OUT", ""),
    ("sign-jwt INPUT --target T --out OUT", ""),
    ("sign-url gs://bucket/object --target T --out OUT", ""),
    ("diagnose --target T", ""),
    ("exec --target T --token-file -- echo", ""),
    ("exec --target T --env -- echo", ""),
    ("kubectl-credential --target T", ""),
    ("docker-credential get --target T", "europe-docker.pkg.dev\n"),
    (
        "kubelet-credential --target T",
        r#"{"apiVersion": "credentialprovider.kubelet.k8s.io/v1", "image": "gcr.io/shop/app"}"#,
    ),
    ("git-credential --target T get", "protocol=https\nhost=source.developers.google.com\n\n"),
    ("keyring --target T get https://europe-python.pkg.dev/p/r/simple/ oauth2accesstoken", ""),
];

/// conf: I8
#[tokio::test]
async fn a_signal_ends_a_command_at_once_and_nothing_is_left() {
    let emulator = shop().await;
    emulator.faults().inject(Fault::hang());
    for (arguments, input) in WAITING {
        for (name, code) in [("-INT", 130), ("-TERM", 143)] {
            assert_ends(&emulator, arguments, input, name, code).await;
        }
    }
}

/// Starts a command, waits for its call, sends a signal, and looks at what is left.
async fn assert_ends(emulator: &Emulator, arguments: &str, stdin: &str, name: &str, code: i32) {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (folder.path().join("input"), folder.path().join("out"));
    fs::write(&input, "{}").unwrap();
    let arguments = arguments
        .replace("--target T", &format!("--target {BUILDER}"))
        .replace("INPUT", input.to_str().unwrap())
        .replace("OUT", out.to_str().unwrap());
    emulator.journal().clear();
    let mut command = alice(emulator, &arguments);
    command.env("TMPDIR", folder.path()).env("XDG_CACHE_HOME", folder.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    until("the call", || !emulator.journal().entries().is_empty()).await;
    let start = Instant::now();
    signal(&child, name);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments}: {output:?}");
    // Git must not ask for a password after that.
    let allowed: &[u8] = if arguments.starts_with("git") { b"quit=1\n" } else { b"" };
    assert!(output.stdout == allowed && output.stderr.is_empty(), "{arguments}: {output:?}");
    assert!(start.elapsed() < Duration::from_secs(5), "{arguments}: {:?}", start.elapsed());
    assert_eq!(files_in(folder.path()), ["input"], "{arguments}");
}

/// Returns the names of the files below a folder, without those that lock the token cache: they are empty.
fn files_in(folder: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let files = entries.flat_map(|entry| match entry.metadata().unwrap() {
        kind if kind.is_dir() => files_in(&entry.path()),
        kind if kind.len() == 0 && entry.path().extension().is_some_and(|it| it == "lock") => Vec::new(),
        _ => vec![entry.file_name()],
    });
    files.collect()
}

/// conf: I8
#[tokio::test]
async fn a_signal_while_keys_are_fetched_ends_a_verification() {
    let emulator = shop().await;
    emulator.faults().inject(Fault::hang());
    let part = |json: &str| BASE64_URL_SAFE_NO_PAD.encode(json);
    let jwt = format!("{}.{}.c2ln", part(r#"{"alg":"RS256","kid":"k"}"#), part(r#"{"iss":"i","aud":"a"}"#));
    let keys = format!("{}/oauth2/v3/certs", emulator.endpoint());
    let mut command = iamcreds(["verify", &jwt, "--keys", &keys]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the fetch", || !emulator.journal().entries().is_empty()).await;
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
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
    signal(&child, "-TERM");
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert_eq!(emulator.connections(), 0);
    // The same command works if it is left alone.
    run_with_input(&mut alice(&emulator, &format!("sign-blob - --target {BUILDER}")), b"x").ok();
}
