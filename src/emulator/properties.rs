//! What holds for every request to the emulator, and for every policy.

mod assertion;
mod control;
mod in_memory;
mod policy;
mod rest;

pub use self::assertion::assertions;
pub use self::control::control_documents;
pub use self::policy::policies;
pub use self::rest::rest_bodies;
