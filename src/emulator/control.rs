//! What tests do to a running emulator.

pub(crate) mod fixtures;
pub(crate) mod http;
