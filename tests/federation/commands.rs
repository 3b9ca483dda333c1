//! Commands that print subject tokens, run by processes with their own environment.

use std::process::Command;

use gcp_iam_credentials::Credentials;
use gcp_iam_credentials::emulator::{Emulator, ExternalAccountFile, SubjectTokenSource};
use serde_json::{Value, json};

use crate::support::federation::{AUDIENCE, DEPLOYER, JWT, file, start};
use crate::support::runtime::one_thread;

const ALLOW: &str = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES";
const FILE: &str = "FILE_FOR_TESTS";

/// Runs [`child`] with a credential file, and returns what it prints.
async fn process(json: &str, allow: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adc.json");
    std::fs::write(&path, json).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["commands::child", "--exact", "--ignored", "--nocapture"])
        .env(FILE, path)
        .env_remove(ALLOW);
    command.envs(allow.map(|value| (ALLOW, value)));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

#[test]
#[ignore = "other tests run it as a child process"]
fn child() {
    let file = std::env::var_os(FILE).unwrap();
    one_thread().block_on(async {
        match Credentials::from_file(file) {
            Ok(credentials) => match credentials.token().await {
                Ok(token) => println!("a token of {} bytes", token.secret().len()),
                Err(error) => println!("error: {error:#}"),
            },
            Err(error) => println!("refused: {error}"),
        }
    });
}

fn of_command(emulator: &Emulator, command: &str) -> String {
    let options = ExternalAccountFile::new().impersonate(DEPLOYER);
    let source = json!({"executable": {"command": command}});
    file(emulator, &options, &json!({"credential_source": source}))
}

/// conf: F3
#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_only_if_the_variable_allows_it() {
    let emulator = start().await;
    let options = ExternalAccountFile::new().source(SubjectTokenSource::Executable).impersonate(DEPLOYER);
    let json = file(&emulator, &options, &json!({}));
    assert!(process(&json, Some("1")).await.contains("a token of"));
    for allow in [None, Some("0"), Some("true")] {
        let output = process(&json, allow).await;
        assert!(output.contains("refused: ") && output.contains(ALLOW), "{output}");
    }
}

/// conf: F3
#[tokio::test(flavor = "multi_thread")]
async fn a_command_gets_its_arguments_as_a_shell_splits_them_and_the_documented_variables() {
    let emulator = start().await;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("a script");
    std::fs::write(
        &script,
        "printf '%s\\n' \"$@\" > \"$(dirname \"$0\")/arguments\"; env > \"$(dirname \"$0\")/environment\"\n",
    )
    .unwrap();
    let command = format!(r#"sh '{}' "two words" back\ slash '' $HOME *"#, script.display());
    let output = process(&of_command(&emulator, &command), Some("1")).await;
    assert!(output.contains("error: "), "it prints nothing: {output}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("arguments"), "two words\nback slash\n\n$HOME\n*\n");
    let environment = read("environment");
    let of = |name: &str| {
        let prefix = format!("GOOGLE_EXTERNAL_ACCOUNT_{name}=");
        environment.lines().find_map(|line| line.strip_prefix(&prefix)).map(str::to_owned)
    };
    for (name, value) in [
        ("AUDIENCE", Some(AUDIENCE)),
        ("TOKEN_TYPE", Some(JWT)),
        ("ID", Some(DEPLOYER)),
        ("INTERACTIVE", Some("0")),
        ("REVOKE", Some("0")),
        ("IMPERSONATED_EMAIL", Some(DEPLOYER)),
        ("OUTPUT_FILE", None),
    ] {
        assert_eq!(of(name).as_deref(), value, "{name}");
    }
}

/// conf: F3
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_a_command_wrote_into_a_file_is_exchanged() {
    let emulator = start().await;
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output");
    let reply = json!({
        "version": 1, "success": true, "token_type": JWT, "expiration_time": 4_000_000_000_u64,
        "id_token": emulator.external_account_token("pod").await.unwrap(),
    });
    std::fs::write(&output, reply.to_string()).unwrap();
    let mut json: Value = serde_json::from_str(&of_command(&emulator, "/no/such/program")).unwrap();
    json["credential_source"]["executable"]["output_file"] = output.display().to_string().into();
    let printed = process(&json.to_string(), Some("1")).await;
    assert!(printed.contains("a token of"), "{printed}");
    std::fs::remove_file(&output).unwrap();
    let printed = process(&json.to_string(), Some("1")).await;
    assert!(printed.contains("/no/such/program"), "{printed}");
}
