//! What tests do to a running emulator: one set of commands, with the handle and HTTP as front ends.

pub(crate) mod commands;
mod credential_files;
pub(crate) mod external_account_file;
pub(crate) mod handle;
pub(crate) mod http;
mod page;
mod sign_in_file;
