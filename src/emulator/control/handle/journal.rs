//! The journal, for tests in Rust.

use crate::emulator::control::commands::Commands;
use crate::emulator::journal::JournalEntry;
use crate::emulator::method::Method;

/// Reads and clears the journal. [`Emulator::journal`](crate::emulator::Emulator::journal) returns it.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use gcp_iam_credentials::emulator::{Emulator, Method};
///
/// let emulator = Emulator::builder().start().await?;
/// // … the code under test makes its calls …
/// let calls = emulator.journal().of_method(Method::GenerateIdToken);
/// assert!(calls.is_empty(), "no ID token was requested: {calls:?}");
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct JournalControl<'a>(&'a Commands);

impl<'a> JournalControl<'a> {
    pub(crate) fn new(commands: &'a Commands) -> Self {
        Self(commands)
    }

    /// Returns the recorded requests, the oldest first, including those in progress.
    ///
    /// The journal keeps the newest [`JOURNAL_CAPACITY`](crate::emulator::JOURNAL_CAPACITY) requests, or
    /// fewer if they take more than [`JOURNAL_BYTES`](crate::emulator::JOURNAL_BYTES).
    pub fn entries(&self) -> Vec<JournalEntry> {
        self.0.journal(None)
    }

    /// Returns the recorded requests of one method, the oldest first.
    pub fn of_method(&self, method: Method) -> Vec<JournalEntry> {
        self.0.journal(Some(method))
    }

    /// Removes all entries.
    pub fn clear(&self) {
        self.0.clear_journal();
    }
}
