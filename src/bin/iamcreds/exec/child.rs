//! The program, from its start to its end.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Command, ExitStatus};

pub(super) use self::signals::Signals;
use super::environment::Changes;
use crate::failure::{Exit, Failure};

/// A program and its arguments.
#[derive(Debug)]
pub(super) struct Program<'a> {
    name: &'a OsStr,
    arguments: &'a [OsString],
}

impl<'a> Program<'a> {
    /// Takes the words of a command. The parser makes sure that there is one.
    pub(super) fn new(words: &'a [OsString]) -> Self {
        let name = words.first().map_or(OsStr::new(""), OsString::as_os_str);
        Self { name, arguments: words.get(1..).unwrap_or_default() }
    }

    /// Runs the program, passes signals on to it, and returns its exit code.
    pub(super) async fn run(&self, changes: &Changes, signals: Signals) -> Result<i32, Failure> {
        let child = tokio::process::Command::from(self.command(changes)).spawn();
        let mut child = child.map_err(|error| self.not_started(&error))?;
        let status = match child.id() {
            Some(id) => tokio::select! {
                status = child.wait() => status?,
                never = signals.pass_on(id) => match never {},
            },
            None => child.wait().await?,
        };
        Ok(exit_code(status))
    }

    /// Starts the program in place of this process. Returns only if that fails.
    #[cfg(unix)]
    pub(super) fn replace_this_process(&self, changes: &Changes) -> Failure {
        let error = std::os::unix::process::CommandExt::exec(&mut self.command(changes));
        self.not_started(&error)
    }

    fn command(&self, changes: &Changes) -> Command {
        let mut command = Command::new(self.name);
        command.args(self.arguments);
        changes.apply(&mut command);
        command
    }

    /// Says why the program can't be started, with a shell's exit code.
    fn not_started(&self, error: &io::Error) -> Failure {
        let exit = match error.kind() {
            io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::NotExecutable,
        };
        Failure::new(exit, format!("can't start {}: {error}", self.name.to_string_lossy()))
    }
}

/// Returns the exit code of a program. If a signal ended it, 128 and the signal's number, as shells do.
fn exit_code(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return 128 + signal;
    }
    status.code().unwrap_or(Exit::Other as i32)
}

#[cfg(unix)]
mod signals {
    //! Signals that are passed on.

    use std::convert::Infallible;
    use std::fs::File;
    use std::io;

    use rustix::process::{Pid, Signal, getpgrp, kill_process};
    use rustix::termios::tcgetpgrp;
    use tokio::signal::unix::{self, SignalKind, signal};
    use tokio::sync::mpsc;

    /// What people and supervisors send to a program.
    const PASSED_ON: [Signal; 6] =
        [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM, Signal::USR1, Signal::USR2];

    /// Receives signals. They no longer end this process by themselves.
    pub(in super::super) struct Signals(Vec<(Signal, unix::Signal)>);

    impl Signals {
        /// Starts to receive them, except for those that are ignored: the program ignores them, too, as under `nohup`.
        pub(in super::super) fn new() -> io::Result<Self> {
            let ignored = ignored();
            let kept = PASSED_ON.into_iter().filter(|kept| ignored >> (kept.as_raw() - 1) & 1 == 0);
            kept.map(|kept| Ok((kept, signal(SignalKind::from_raw(kept.as_raw()))?)))
                .collect::<io::Result<_>>()
                .map(Self)
        }

        /// Passes signals on to a process. Never returns.
        pub(super) async fn pass_on(self, process: u32) -> Infallible {
            let (sender, mut received) = mpsc::channel(PASSED_ON.len());
            for (kind, mut stream) in self.0 {
                let sender = sender.clone();
                tokio::spawn(async move {
                    while stream.recv().await.is_some() && sender.send(kind).await.is_ok() {}
                });
            }
            let process = i32::try_from(process).ok().and_then(Pid::from_raw);
            loop {
                let kind = received.recv().await;
                if let (Some(kind), Some(process)) = (kind.filter(|kind| !is_from_terminal(*kind)), process) {
                    // The process may have ended meanwhile.
                    let _ = kill_process(process, kind);
                }
            }
        }
    }

    /// Whether the terminal has sent a signal to the program, too: it sends that of a key to all processes of the group
    /// in the foreground.
    fn is_from_terminal(signal: Signal) -> bool {
        let of_key = matches!(signal, Signal::INT | Signal::QUIT);
        of_key && File::open("/dev/tty").is_ok_and(|tty| tcgetpgrp(&tty) == Ok(getpgrp()))
    }

    /// Returns a bit for each signal that this process was started with and that it ignores. Linux only.
    fn ignored() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
    }
}

#[cfg(not(unix))]
mod signals {
    //! Ctrl-C, which the console sends to both processes.

    use std::convert::Infallible;
    use std::io;

    pub(in super::super) struct Signals;

    impl Signals {
        pub(in super::super) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Lets this process live on. Never returns.
        pub(super) async fn pass_on(self, _process: u32) -> Infallible {
            loop {
                if tokio::signal::ctrl_c().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}
