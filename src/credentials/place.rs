//! Where credentials were found.

use std::path::PathBuf;

/// The file they were read from, and why it was that one.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) file: Option<PathBuf>,
    pub(super) reason: &'static str,
}
