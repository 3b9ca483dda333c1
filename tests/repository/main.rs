//! Checks of the repository's text: dependencies between modules and on crates, lengths, conformance
//! ids, the paths that pages name, the pages of the guide, and the tests that SECURITY.md links to. They read the files as text, so
//! they use nothing of the crate.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

mod architecture;
mod conformance;
mod cycles;
mod dependencies;
mod files;
mod guide;
mod lengths;
mod paths;
mod rules;
mod scan;
mod security;
mod tokens;
mod tree;
