//! The commands as methods of [`Emulator`](crate::emulator::Emulator), in groups.

mod clock;
mod error;
mod faults;
mod journal;
mod keys;
mod policy;
mod tokens;

pub use self::clock::ClockControl;
pub use self::error::EmulatorError;
pub use self::faults::FaultControl;
pub use self::journal::JournalControl;
pub use self::keys::KeyControl;
pub use self::policy::PolicyControl;
pub use self::tokens::VerifiedToken;
pub(crate) use self::tokens::{verify_access_token, verify_blob, verify_id_token, verify_jwt};
