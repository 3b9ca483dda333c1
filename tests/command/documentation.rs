//! The sessions in `docs/iamcreds.md`, run against an emulator.

use std::path::Path;
use std::process::Command;

use crate::program::{ALICE_TOKEN, shop};
use crate::support::transcripts::{is_like, transcripts};

const PAGE: &str = include_str!("../../docs/iamcreds.md");

/// conf: I9
#[tokio::test]
async fn the_sessions_in_the_documentation_are_accurate() {
    let emulator = shop().await;
    let folder = tempfile::tempdir().unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_iamcreds")).parent().unwrap().to_owned();
    let path = std::env::join_paths(
        std::iter::once(programs).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let path = path.unwrap();
    let transcripts = transcripts(PAGE);
    assert!(transcripts.len() >= 10, "{transcripts:?}");
    for (command, shown) in transcripts {
        let mut shell = Command::new("bash");
        let output = shell
            .args(["-c", &format!("exec 2>&1; {command}")])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", &path)
            .env("HOME", folder.path())
            .env("LANG", "C.UTF-8")
            .env("IAM_CREDENTIALS_EMULATOR_HOST", emulator.address().to_string())
            .env("IAMCREDS_SOURCE_TOKEN", ALICE_TOKEN)
            .output();
        let actual = String::from_utf8(output.unwrap().stdout).unwrap();
        assert!(is_like(shown.trim(), actual.trim()), "{command}\nshown: {shown}\nactual: {actual}");
    }
}
