//! What is wrong is said before anything is sent, and the exit code says whose fault it is.

use gcp_iam_credentials::Code;
use gcp_iam_credentials::emulator::Fault;

use crate::program::{BUILDER, DEPLOYER, alice, iamcreds, run, run_with_input, shop};
use crate::support::closed_port::ClosedPort;

/// conf: I5
#[tokio::test]
async fn a_wrong_argument_is_named_with_an_example_before_anything_is_sent() {
    let emulator = shop().await;
    for (arguments, named) in [
        ("access-token --target nobody", "--target"),
        ("access-token --target T@p.com --via me", "--via"),
        ("access-token", "no account to act as"),
        ("access-token --target T@p.com --scope bogus", "--scope"),
        ("access-token --target T@p.com --lifetime 13h", "--lifetime"),
        ("access-token --target T@p.com --lifetime soon", "--lifetime"),
        ("access-token --target T@p.com --format xml", "--format"),
        ("access-token --target T@p.com --credentials /no/file", "/no/file"),
        ("access-token --target T@p.com --source-token-file /no/file", "/no/file"),
        ("access-token --target T@p.com --root-certificates /no/file", "/no/file"),
        ("access-token --target T@p.com --timeout 0s", "--timeout"),
        ("id-token --target T@p.com", "--audience"),
        ("self-signed-jwt --target 123 --audience a", "--target"),
        ("self-signed-jwt --target T@p.com --audience https://a --lifetime 2h", "--lifetime"),
        ("sign-blob --target T@p.com /no/file", "/no/file"),
        ("sign-jwt --target T@p.com /no/file", "/no/file"),
        ("sign-jwt --target T@p.com", "<CLAIMS.json|->"),
        ("sign-url --target T@p.com gs://bucket/", "gs://BUCKET"),
        ("sign-url --target T@p.com gs://-/o", "gs://BUCKET/OBJECT: "),
        ("sign-url --target T@p.com gs://b/..", "gs://BUCKET/OBJECT: "),
        ("sign-url --target T@p.com gs://b/o --lifetime 169h", "--lifetime"),
        ("sign-url --target T@p.com gs://b/o --method patch", "--method"),
        ("sign-url --target T@p.com gs://b/o --header a", "--header"),
        ("sign-url --target T@p.com gs://b/o --header host:x", "--header"),
        ("sign-url --target T@p.com gs://b/o --query X-Goog-Date=1", "--query"),
        ("sign-url --target T@p.com gs://b/o --storage-endpoint a/b", "--storage-endpoint: "),
        ("sign-url --target T@p.com gs://b/o --bucket-bound-host a/b", "--bucket-bound-host: "),
        ("sign-url --target T@p.com gs://b/o --bucket-bound-host a --virtual-hosted", "--virtual-hosted"),
        ("sign-url --target T@p.com gs://B/o --virtual-hosted", "gs://BUCKET/OBJECT: "),
        ("man nothing", "`nothing`"),
        ("access-tokens", "access-tokens"),
    ] {
        let mut command = if arguments.contains("--credentials") || !arguments.contains("--target") {
            iamcreds(arguments.split(' '))
        } else {
            alice(&emulator, arguments)
        };
        let (what, fix) = run(&mut command).two_lines(2);
        assert!(what.contains(named), "{arguments}: {what}");
        let is_parsers = !what.contains('`') && !what.starts_with('/');
        assert!(fix.contains("iamcreds ") || !is_parsers, "{arguments}: {what}: {fix}");
    }
    assert_eq!(emulator.journal().entries().len(), 0, "{:?}", emulator.journal().entries());
    assert_eq!(emulator.connections(), 0);
}

/// conf: I5
#[tokio::test]
async fn wrong_input_is_told_before_anything_is_sent() {
    let emulator = shop().await;
    for (arguments, input, named) in [
        ("sign-jwt -", &b"[1]"[..], "claims"),
        ("sign-jwt -", b"{", "claims"),
        ("sign-jwt -", b"\xff", "UTF-8"),
        ("sign-jwt -", br#"{"exp": 1.5}"#, "exp"),
        ("access-token --source-token-file -", b"", "--source-token-file"),
        ("sign-blob - --source-token-file -", b"x", "standard input"),
        ("access-token --source-token-file -", b"two\nlines", "--source-token-file"),
    ] {
        let mut command = alice(&emulator, &format!("{arguments} --target {BUILDER}"));
        let (what, _) = run_with_input(&mut command, input).two_lines(2);
        assert!(what.contains(named), "{arguments}: {what}");
    }
    assert_eq!(emulator.connections(), 0);
}

/// conf: I6
#[tokio::test]
async fn the_exit_code_says_whose_fault_it_is() {
    let emulator = shop().await;
    let token = |target: &str| alice(&emulator, &format!("access-token --target {target} --timeout 1s"));
    let (what, fix) = run(&mut token(DEPLOYER)).two_lines(4);
    assert!(
        what.contains(DEPLOYER) && fix.contains("gcloud iam service-accounts add-iam-policy-binding"),
        "{fix}"
    );

    let nobody = run(token(BUILDER).env("IAMCREDS_SOURCE_TOKEN", "of-nobody"));
    assert_eq!(nobody.code, Some(3), "{nobody:?}");

    let arguments = ["access-token", "--target", BUILDER, "--endpoint", emulator.endpoint()];
    // Without gcloud, too.
    let (what, fix) = run(iamcreds(arguments).env("PATH", "/nonexistent")).two_lines(3);
    assert!(
        what.contains("no credentials found") && fix.contains("GOOGLE_APPLICATION_CREDENTIALS"),
        "{what}: {fix}"
    );

    emulator.faults().inject(Fault::status(Code::Unavailable));
    let down = run(&mut token(BUILDER));
    assert_eq!(down.code, Some(5), "{down:?}");

    emulator.faults().clear_all();
    let written = run(token(BUILDER).args(["--out", "/no/folder/token"]));
    assert_eq!(written.code, Some(1), "{written:?}");
    assert!(written.stderr.contains("/no/folder/token"), "{written:?}");
}

/// conf: I5
#[test]
fn hostile_arguments_are_refused_without_a_panic_and_show_neither_tokens_nor_escape_sequences() {
    use std::os::unix::ffi::OsStrExt;

    let not_utf8 = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    for arguments in [
        vec!["access-token".as_ref(), "--target".as_ref(), not_utf8],
        vec![not_utf8],
        vec!["access-token".as_ref(), "ya29.secret".as_ref()],
        vec!["access-token".as_ref(), "--target".as_ref(), "\u{1b}[2Jx".as_ref()],
    ] {
        let (what, _) = run(&mut iamcreds(&arguments)).two_lines(2);
        assert!(!what.contains('\u{1b}') && !what.contains("secret"), "{arguments:?}: {what}");
    }
}

/// conf: I6
#[tokio::test]
async fn if_several_grants_may_be_missing_the_advice_is_to_diagnose() {
    let emulator = shop().await;
    let role = "roles/iam.serviceAccountTokenCreator";
    assert!(emulator.policy().revoke(&*format!("serviceAccount:{BUILDER}"), role, DEPLOYER).unwrap());
    let arguments = format!("access-token --target {DEPLOYER} --via {BUILDER}");
    let (_, fix) = run(&mut alice(&emulator, &arguments)).two_lines(4);
    assert!(fix.starts_with("find out with `iamcreds diagnose` which grant is missing"), "{fix}");
}

/// conf: I6
#[tokio::test]
async fn a_service_that_cannot_be_reached_is_named_with_the_cause() {
    let closed = ClosedPort::new();
    let endpoint = format!("http://{}", closed.address());
    let arguments = ["access-token", "--target", BUILDER, "--endpoint", &endpoint, "--timeout", "1s"];
    let (what, _) = run(iamcreds(arguments).env("IAMCREDS_SOURCE_TOKEN", "any")).two_lines(5);
    assert!(what.contains(&endpoint) && what.contains("refused"), "{what}");
}

/// conf: I7
#[test]
fn every_subcommand_has_help_with_examples_completions_and_a_manual_page() {
    let help = run(&mut iamcreds(["--help"])).ok();
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: Vec<&str> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"access-token"), "{help}");
    let bash = run(&mut iamcreds(["completions", "bash"])).ok();
    for name in names.iter().filter(|name| **name != "help") {
        let help = run(&mut iamcreds([name, "--help"])).ok();
        assert!(help.contains("Examples:\n  "), "{name}: {help}");
        assert!(bash.contains(name), "{name}");
        let page = run(&mut iamcreds(["man", name])).ok();
        assert!(page.contains(".SH SYNOPSIS") && page.contains("Examples:"), "{name}: {page}");
    }
    for shell in ["zsh", "fish", "powershell", "elvish"] {
        assert!(run(&mut iamcreds(["completions", shell])).ok().contains("access-token"), "{shell}");
    }
    assert!(run(&mut iamcreds(["--version"])).ok().starts_with("iamcreds "));
}

/// conf: I7
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let script = format!("set -o pipefail; '{}' completions bash | head -1", env!("CARGO_BIN_EXE_iamcreds"));
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
