//! A command that is run for what it prints, which is secret.

use std::io::{self, PipeReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::Builder;
use std::time::Duration;

/// The most bytes of the output that are kept. Tokens are far shorter.
pub(super) const MAX_OUTPUT: usize = 128 << 10;

/// How often to check whether the command has ended, and whether it must.
const POLL: Duration = Duration::from_millis(20);

/// Follows the output in its pipe. It is no character of a text.
const END: u8 = 0xff;

/// A command that has ended by itself.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// What it has printed, up to [`MAX_OUTPUT`].
    pub(super) output: Vec<u8>,
    /// Whether it has printed more than that.
    #[cfg_attr(not(feature = "credential-files"), allow(dead_code))]
    pub(super) is_cut: bool,
}

/// Runs a command, without input, until it ends. Ends it, with what it has started, as soon as
/// `must_end` returns true; the result is then `None`. It blocks the thread.
///
/// # Errors
///
/// The command can't be started, or can't be waited for.
pub(super) fn run(mut command: Command, must_end: impl Fn() -> bool) -> io::Result<Option<Ended>> {
    let (reader, mut writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn()?;
    let output = match Builder::new().name("output".to_owned()).spawn(move || read_to_end_mark(reader)) {
        Ok(output) => output,
        Err(error) => {
            end(&mut child);
            return Err(error);
        }
    };
    let status = wait(&mut child, must_end);
    // A process that the command has started may hold the output open for long. A pipe keeps the
    // order, so the mark comes after everything that the command itself has printed.
    let marked = writer.write_all(&[END]);
    let output = output.join().map_err(|_| io::Error::other("the output's thread ended"));
    let Some(status) = status? else { return Ok(None) };
    marked?;
    let (output, is_cut) = output??;
    Ok(Some(Ended { status, output, is_cut }))
}

fn wait(child: &mut Child, must_end: impl Fn() -> bool) -> io::Result<Option<ExitStatus>> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(Some(status)),
            Ok(None) if must_end() => {
                end(child);
                return Ok(None);
            }
            Ok(None) => std::thread::sleep(POLL),
            Err(error) => {
                end(child);
                return Err(error);
            }
        }
    }
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

/// Reads up to the end mark. What is too long is read too, so that the command can go on.
fn read_to_end_mark(mut reader: PipeReader) -> io::Result<(Vec<u8>, bool)> {
    let (mut output, mut is_cut) = (Vec::new(), false);
    let mut buffer = [0; 8 << 10];
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(read) => buffer.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = read.iter().position(|byte| *byte == END);
        let text = read.get(..end.unwrap_or(read.len())).unwrap_or_default();
        let kept = text.len().min(MAX_OUTPUT - output.len());
        output.extend_from_slice(text.get(..kept).unwrap_or_default());
        is_cut |= kept < text.len();
        if end.is_some() || read.is_empty() {
            return Ok((output, is_cut));
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn run_script(script: &str, must_end: impl Fn() -> bool) -> Option<Ended> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, must_end).unwrap()
    }

    /// conf: A16, F3
    #[test]
    fn a_child_that_stays_and_holds_the_output_open_does_not_hold_up_the_token() {
        for script in ["sleep 5 & echo token", "echo token; yes & exit 0", "printf token; sleep 5 & exit 0"] {
            let start = Instant::now();
            let ended = run_script(script, || false).unwrap();
            assert!(ended.output.starts_with(b"token"), "{script}");
            assert!(start.elapsed() < Duration::from_secs(4), "{script}: {:?}", start.elapsed());
        }
    }

    /// conf: F3
    #[test]
    fn an_output_that_is_too_long_is_cut_and_does_not_stop_the_command() {
        let long = format!("head -c {} /dev/zero", MAX_OUTPUT + 1);
        let ended = run_script(&long, || false).unwrap();
        assert_eq!((ended.output.len(), ended.is_cut), (MAX_OUTPUT, true));
        let fits = format!("head -c {MAX_OUTPUT} /dev/zero");
        let ended = run_script(&fits, || false).unwrap();
        assert_eq!((ended.output.len(), ended.is_cut), (MAX_OUTPUT, false));
        assert!(ended.status.success());
    }

    /// conf: A16, F3
    #[cfg(target_os = "linux")]
    #[test]
    fn a_command_that_must_end_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("children");
        let script = format!("sleep 60 & echo $! $$ > '{}'; wait", file.display());
        let processes = || std::fs::read_to_string(&file).unwrap_or_default();
        let started = || processes().ends_with('\n');
        assert!(run_script(&script, started).is_none());
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
