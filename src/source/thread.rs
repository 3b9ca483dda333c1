//! Work that blocks, in a thread of its own.
//!
//! A runtime waits for its blocking tasks when it ends, so work that hangs would delay the shutdown
//! of the program.

use std::thread::Builder;

use tokio::sync::oneshot;

use crate::Error;

/// Whether somebody still waits for the work.
pub(super) struct Waiting<'a, T>(&'a oneshot::Sender<T>);

impl<T> Waiting<'_, T> {
    pub(super) fn has_ended(&self) -> bool {
        self.0.is_closed()
    }
}

/// Runs `work` in a new thread and returns its result. If the future is dropped, the work learns it
/// from its argument.
///
/// # Errors
///
/// Transient: no thread can be started, or the work panics.
pub(super) async fn run<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce(&Waiting<'_, T>) -> T + Send + 'static,
) -> Result<T, Error> {
    let (sender, receiver) = oneshot::channel();
    let started = Builder::new().name(name.to_owned()).spawn(move || {
        let outcome = work(&Waiting(&sender));
        // Nobody may wait any longer.
        let _ = sender.send(outcome);
    });
    started.map_err(|error| Error::credentials(format!("can't start the thread {name}: {error}"), true))?;
    receiver.await.map_err(|_| Error::credentials(format!("the thread {name} ended"), true))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_panic_in_the_thread_is_an_error() {
        let error = run("test", |_| -> u32 { panic!("on purpose") }).await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("test ended"), "{error}");
        assert_eq!(run("test", |_| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn the_work_learns_that_nobody_waits() {
        let (ended, end) = mpsc::channel();
        let waiting = run("test", move |waiting| {
            while !waiting.has_ended() {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            let _ = ended.send(());
        });
        drop(tokio::time::timeout(std::time::Duration::from_millis(20), waiting).await);
        end.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    }
}
