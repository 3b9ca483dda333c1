//! What is logged, at every level.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::dispatcher::with_default;
use tracing::subscriber::Subscriber;
use tracing_subscriber::layer::SubscriberExt;

use super::thread_subscriber;

/// The text that was logged so far.
#[derive(Clone, Default)]
pub(crate) struct LogCapture(Arc<Mutex<Vec<u8>>>);

impl LogCapture {
    /// Captures what all threads log from now on.
    ///
    /// A process has only one global subscriber, so a test that needs this has its own file.
    pub(crate) fn of_this_process() -> Self {
        let capture = Self::default();
        tracing::subscriber::set_global_default(capture.subscriber()).unwrap();
        capture
    }

    /// Captures what this thread logs while `run` runs.
    pub(crate) fn while_running(run: impl FnOnce()) -> Self {
        let capture = Self::default();
        with_default(&thread_subscriber::dispatch(capture.subscriber()), run);
        capture
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    fn subscriber(&self) -> impl Subscriber + Send + Sync + 'static {
        let writer = self.clone();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        tracing_subscriber::registry().with(layer)
    }
}

impl Write for LogCapture {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
