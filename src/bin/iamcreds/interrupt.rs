//! Runs a command's work until it ends or a signal does.

use std::io;

use crate::failure::{Exit, Failure};

/// Runs `work` on a runtime of its own. SIGINT and SIGTERM end it at once: what it holds is dropped, so its files are
/// removed.
pub(crate) fn run<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    block_on(async {
        let mut signals = StopSignals::new()?;
        tokio::select! {
            result = work => result,
            exit = signals.next() => Err(Failure::signal(exit)),
        }
    })
}

/// Runs `work` on a runtime of its own. Signals are its own affair.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // A blocking task, such as a program that a source runs, must not delay the end.
    runtime.shutdown_background();
    result
}

/// SIGINT and SIGTERM.
#[cfg(unix)]
pub(crate) struct StopSignals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopSignals {
    /// Starts to watch for signals. They no longer end the process by themselves.
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate })
    }

    /// Waits for the next signal, and returns the exit code that belongs to it.
    pub(crate) async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
        }
    }
}

/// SIGHUP, by which an operator asks for files to be read again.
#[cfg(unix)]
pub(crate) struct Reload(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Reload {
    /// Starts to watch for the signal. It no longer ends the process.
    pub(crate) fn new() -> io::Result<Self> {
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).map(Self)
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}

/// A signal that other systems don't have.
#[cfg(not(unix))]
pub(crate) struct Reload;

#[cfg(not(unix))]
impl Reload {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) {
        std::future::pending().await
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
pub(crate) struct StopSignals;

#[cfg(not(unix))]
impl StopSignals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) -> Exit {
        // If the handler fails, the signal ends the process.
        let _ = tokio::signal::ctrl_c().await;
        Exit::Interrupted
    }
}
