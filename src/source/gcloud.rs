//! Tokens from the `gcloud` command.
//!
//! gcp_auth supports it too, but blocks the calling thread while the command runs. A command that
//! hangs would then delay the shutdown of the program's runtime.

use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
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
    let started = std::thread::Builder::new().name("gcloud".to_owned()).spawn(move || {
        if let Some(outcome) = run(command, || sender.is_closed()) {
            // Nobody may wait any longer.
            let _ = sender.send(outcome);
        }
    });
    started.map_err(|error| failure(format!("can't start a thread for the gcloud command: {error}")))?;
    let output = receiver.await.map_err(|_| failure("the thread of the gcloud command ended"))??;
    Token::new(output, asked.checked_add(LIFETIME))
        .map_err(|_| failure("the gcloud command printed something that isn't a token"))
}

/// Returns the first line that the command prints; `None` if it was ended because nobody waits for it.
fn run(mut command: Command, nobody_waits: impl Fn() -> bool) -> Option<Result<String, Error>> {
    let (mut child, output) = match start(&mut command) {
        Ok(started) => started,
        Err(error) => return Some(Err(failure(format!("can't run the gcloud command: {error}")))),
    };
    // It holds the output open too.
    drop(command);
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Some(output.first_line()),
            Ok(Some(status)) => return Some(Err(failure(format!("the gcloud command failed ({status})")))),
            Ok(None) if nobody_waits() => {
                end(&mut child);
                return None;
            }
            Ok(None) => std::thread::sleep(POLL),
            Err(error) => return Some(Err(failure(format!("can't wait for the gcloud command: {error}")))),
        }
    }
}

fn start(command: &mut Command) -> io::Result<(Child, Output)> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    Ok((command.spawn()?, Output { reader, writer }))
}

/// Ends the command, and what it has started: on Unix, gcloud is a script that starts Python.
fn end(child: &mut Child) {
    #[cfg(unix)]
    {
        let kill = format!("kill -KILL -{}", child.id());
        let mut shell = Command::new("sh");
        shell.args(["-c", &kill]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Without a shell, only the command itself is ended.
        let _ = shell.status();
    }
    // If this fails, the command has ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// The output of a command. Both ends are open here, so it can be read without waiting for its end,
/// which never comes while a process that the command has started holds it open.
struct Output {
    reader: PipeReader,
    writer: PipeWriter,
}

impl Output {
    /// Reads what an ended command has printed.
    fn first_line(self) -> Result<String, Error> {
        let Self { reader, mut writer } = self;
        // A pipe keeps the order, so this comes after everything that the command has printed. If the
        // pipe is full, the write ends when there is room or when the reader is dropped.
        let end = std::thread::Builder::new().name("gcloud".to_owned());
        end.spawn(move || writer.write_all(b"\n"))
            .map_err(|error| failure(format!("can't start a thread for the gcloud command: {error}")))?;
        let mut line = String::new();
        match BufReader::new(reader.take(MAX_OUTPUT)).read_line(&mut line) {
            Ok(_) => Ok(line.trim_ascii().to_owned()),
            Err(_) => Err(failure("can't read the output of the gcloud command")),
        }
    }
}

fn failure(message: impl Into<String>) -> Error {
    Error::credentials(message.into(), true).retried()
}

#[cfg(all(test, unix))]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// Runs a script in place of gcloud, for somebody who waits as long as `waits` returns true.
    fn run_script(script: &str, waits: impl Fn() -> bool) -> Option<Result<String, Error>> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, || !waits())
    }

    /// conf: A16
    #[test]
    fn a_child_that_stays_and_holds_the_output_open_does_not_hold_up_the_token() {
        for script in ["sleep 5 & echo token", "echo token; yes & exit 0", "printf token; sleep 5 & exit 0"] {
            let start = Instant::now();
            let output = run_script(script, || true).unwrap().unwrap();
            assert_eq!(output, "token", "{script}");
            assert!(start.elapsed() < Duration::from_secs(4), "{script}: {:?}", start.elapsed());
        }
    }

    /// conf: A16
    #[test]
    fn a_failure_is_reported_with_its_status() {
        let error = run_script("echo token; exit 3", || true).unwrap().unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        assert!(error.is_transient() && error.is_retried());
    }

    /// conf: A16
    #[cfg(target_os = "linux")]
    #[test]
    fn a_command_that_nobody_waits_for_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("children");
        let script = format!("sleep 60 & echo $! $$ > '{}'; wait", file.display());
        let processes = || std::fs::read_to_string(&file).unwrap_or_default();
        let started = || processes().ends_with('\n');
        assert!(run_script(&script, || !started()).is_none());
        // The child is waited for by whoever adopted it, so it may exist for a moment.
        let is_running = |process: &str| {
            let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            !state.is_empty() && !state.contains(") Z ")
        };
        let ended = |process: &str| {
            (0..500).any(|_| {
                std::thread::sleep(Duration::from_millis(10));
                !is_running(process)
            })
        };
        assert!(processes().split_whitespace().all(ended), "{}", processes());
    }
}
