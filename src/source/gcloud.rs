//! The `gcloud` command as a source of tokens.
//!
//! gcp_auth has the same, but waits on the calling thread for as long as the command runs: one
//! that hangs would hold up the end of the program's runtime.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use crate::{Error, Token};

const COMMAND: &str = if cfg!(windows) { "gcloud.cmd" } else { "gcloud" };

/// gcloud tells no expiry. It renews its token each time it is asked to print it, and new ones
/// live for an hour.
const LIFETIME: Duration = Duration::from_secs(3600);

/// How often to see whether the command has ended, or nobody waits for it any more.
const POLL: Duration = Duration::from_millis(20);

/// No token comes near this size.
const MAX_OUTPUT: u64 = 64 << 10;

/// The access token of the account that gcloud is logged in with. The command is ended when the
/// future is dropped.
pub(super) async fn token() -> Result<Token, Error> {
    let asked = SystemTime::now();
    let (sender, receiver) = oneshot::channel();
    let mut command = Command::new(COMMAND);
    command.args(["auth", "print-access-token", "--quiet"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let started = std::thread::Builder::new().name("gcloud".to_owned()).spawn(move || {
        if let Some(outcome) = run(command, || sender.is_closed()) {
            // Whoever waited may have left by now.
            let _ = sender.send(outcome);
        }
    });
    started.map_err(|error| failure(format!("no thread for the gcloud command: {error}")))?;
    let output = receiver.await.map_err(|_| failure("the gcloud command was lost"))??;
    Token::new(output.trim_ascii(), asked.checked_add(LIFETIME))
        .map_err(|_| failure("the gcloud command printed something that is no token"))
}

/// What the command prints; `None` where it was ended since nobody waits for it.
fn run(mut command: Command, nobody_waits: impl Fn() -> bool) -> Option<Result<String, Error>> {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Some(Err(failure(format!("the gcloud command cannot be run: {error}")))),
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Some(output(child)),
            Ok(Some(status)) => return Some(Err(failure(format!("the gcloud command failed ({status})")))),
            Ok(None) if nobody_waits() => {
                // It has ended by itself if it cannot be killed; either way it is waited for.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            Ok(None) => std::thread::sleep(POLL),
            Err(error) => return Some(Err(failure(format!("the gcloud command was lost: {error}")))),
        }
    }
}

fn output(mut child: Child) -> Result<String, Error> {
    let mut text = String::new();
    let read = child.stdout.take().map(|stdout| stdout.take(MAX_OUTPUT).read_to_string(&mut text));
    match read {
        Some(Ok(_)) => Ok(text),
        Some(Err(_)) | None => Err(failure("what the gcloud command printed cannot be read")),
    }
}

fn failure(message: impl Into<String>) -> Error {
    Error::credentials(message.into(), true).retried()
}
