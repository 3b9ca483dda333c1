//! Scenarios that need an environment of their own: tests of this program that run as child processes.
#![cfg(unix)]

use std::process::Command;

use gcp_iam_credentials::{Credentials, Token};

use crate::{Scene, Shown};

/// Returns the command that runs one of this program's tests, which is ignored otherwise.
pub(crate) fn command(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture"]);
    command
}

/// Runs the command and keeps what it prints and logs. Returns what it prints.
pub(crate) fn run(scene: &Scene, place: &'static str, mut command: Command) -> String {
    let output = command.output().unwrap();
    let (out, log) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success() && log.contains("gcp_iam_credentials"), "{out} {log}");
    scene.shown.text(place, out.clone());
    scene.shown.text(place, log);
    out
}

/// Prints all that the credentials show, before and after a fetch. Returns the token.
pub(crate) fn show(place: &'static str, credentials: &Credentials) -> Option<Token> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(std::io::stderr).init();
    let shown = Shown::default();
    let token = tokio::runtime::Runtime::new().unwrap().block_on(async {
        shown.credentials(place, credentials);
        let outcome = tokio::time::timeout(std::time::Duration::from_secs(20), credentials.token()).await;
        let token = shown.outcome(place, outcome.expect("an outcome in time"));
        shown.credentials(place, credentials);
        token
    });
    shown.each(|place, text| println!("{place}: {text}"));
    token
}
