//! Tokens from the `gcloud` command.
//!
//! gcp_auth supports it too, but blocks the calling thread while the command runs. A command that
//! hangs would then delay the shutdown of the program's runtime.

use std::process::Command;
use std::time::{Duration, SystemTime};

use super::{child_process, thread};
use crate::{Error, Token};

const COMMAND: &str = if cfg!(windows) { "gcloud.cmd" } else { "gcloud" };

/// gcloud doesn't print the expiry. It prints a new token each time, which lives for an hour.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Returns an access token of gcloud's active account. Dropping the future ends the command.
pub(super) async fn token() -> Result<Token, Error> {
    let asked = SystemTime::now();
    let mut command = Command::new(COMMAND);
    command.args(["auth", "print-access-token", "--quiet"]);
    let line = thread::run("gcloud", move |waiting| first_line(command, || waiting.has_ended())).await;
    let line = line.map_err(|error| failure(error.in_one_line().to_string()))??;
    Token::new(line, asked.checked_add(LIFETIME))
        .map_err(|_| failure("the gcloud command printed something that isn't a token"))
}

/// Returns the first line that the command prints.
fn first_line(command: Command, must_end: impl Fn() -> bool) -> Result<String, Error> {
    let ended = child_process::run(command, must_end)
        .map_err(|error| failure(format!("can't run the gcloud command: {error}")))?
        .ok_or_else(|| failure("the gcloud command was ended, because nobody waits for it"))?;
    if !ended.status.success() {
        return Err(failure(format!("the gcloud command failed ({})", ended.status)));
    }
    let line = ended.output.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = str::from_utf8(line).map_err(|_| failure("can't read the output of the gcloud command"))?;
    Ok(line.trim_ascii().to_owned())
}

fn failure(message: impl Into<String>) -> Error {
    Error::credentials(message.into(), true).retried()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    /// Runs a script in place of gcloud.
    fn run_script(script: &str, must_end: bool) -> Result<String, Error> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        first_line(command, || must_end)
    }

    /// conf: A16
    #[test]
    fn the_first_line_is_the_token_and_a_failure_is_reported_with_its_status() {
        assert_eq!(run_script("echo ' token '; echo more", false).unwrap(), "token");
        let error = run_script("echo token; exit 3", false).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        assert!(error.is_transient() && error.is_retried());
        assert!(run_script("sleep 60", true).is_err());
    }
}
