//! Faults, for tests in Rust.

use crate::emulator::control::commands::Commands;
use crate::emulator::faults::{Fault, FaultId};

/// Injects and clears faults. [`Emulator::faults`](crate::emulator::Emulator::faults) returns it.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use gcp_iam_credentials::Code;
/// use gcp_iam_credentials::emulator::{Emulator, Fault, Method};
///
/// let emulator = Emulator::builder().start().await?;
/// let faults = emulator.faults();
/// faults.inject(Fault::status(Code::Unavailable).times(2));
/// let hang = faults.inject(Fault::hang().method(Method::SignBlob));
/// // … the code under test makes its calls …
/// faults.clear(hang);
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FaultControl<'a>(&'a Commands);

impl<'a> FaultControl<'a> {
    pub(crate) fn new(commands: &'a Commands) -> Self {
        Self(commands)
    }

    /// Puts a fault into force, and returns its id. See [`Fault`] for when it ends.
    pub fn inject(&self, fault: impl Into<Fault>) -> FaultId {
        self.0.inject_fault(fault.into())
    }

    /// Ends a fault. Returns `false` if it has already ended.
    pub fn clear(&self, id: FaultId) -> bool {
        self.0.clear_fault(id)
    }

    /// Ends all faults. Requests that already hang continue to hang.
    pub fn clear_all(&self) {
        self.0.clear_faults();
    }
}
