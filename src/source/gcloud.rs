//! Tokens from the `gcloud` command.
//!
//! gcp_auth supports it too, but blocks the calling thread while the command runs. A command that
//! hangs would then delay the shutdown of the program's runtime.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use crate::{Error, Token};

const COMMAND: &str = if cfg!(windows) { "gcloud.cmd" } else { "gcloud" };

/// gcloud doesn't print the expiry. It prints a new token each time, which lives for an hour.
const LIFETIME: Duration = Duration::from_secs(3600);

/// How often to check whether the command has ended, and whether somebody still waits for it.
const POLL: Duration = Duration::from_millis(20);

/// Far more than a token needs, in bytes.
const MAX_OUTPUT: u64 = 64 << 10;

/// Returns an access token of gcloud's active account. Dropping the future ends the command.
pub(super) async fn token() -> Result<Token, Error> {
    let asked = SystemTime::now();
    let (sender, receiver) = oneshot::channel();
    let mut command = Command::new(COMMAND);
    command.args(["auth", "print-access-token", "--quiet"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let started = std::thread::Builder::new().name("gcloud".to_owned()).spawn(move || {
        if let Some(outcome) = run(command, || sender.is_closed()) {
            // Nobody may wait any longer.
            let _ = sender.send(outcome);
        }
    });
    started.map_err(|error| failure(format!("can't start a thread for the gcloud command: {error}")))?;
    let output = receiver.await.map_err(|_| failure("the thread of the gcloud command ended"))??;
    Token::new(output.trim_ascii(), asked.checked_add(LIFETIME))
        .map_err(|_| failure("the gcloud command printed something that isn't a token"))
}

/// Returns what the command prints; `None` if it was ended because nobody waits for it.
fn run(mut command: Command, nobody_waits: impl Fn() -> bool) -> Option<Result<String, Error>> {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Some(Err(failure(format!("can't run the gcloud command: {error}")))),
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Some(output(child)),
            Ok(Some(status)) => return Some(Err(failure(format!("the gcloud command failed ({status})")))),
            Ok(None) if nobody_waits() => {
                // If the kill fails, the command has ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            Ok(None) => std::thread::sleep(POLL),
            Err(error) => return Some(Err(failure(format!("can't wait for the gcloud command: {error}")))),
        }
    }
}

fn output(mut child: Child) -> Result<String, Error> {
    let mut text = String::new();
    let read = child.stdout.take().map(|stdout| stdout.take(MAX_OUTPUT).read_to_string(&mut text));
    match read {
        Some(Ok(_)) => Ok(text),
        Some(Err(_)) | None => Err(failure("can't read the output of the gcloud command")),
    }
}

fn failure(message: impl Into<String>) -> Error {
    Error::credentials(message.into(), true).retried()
}
