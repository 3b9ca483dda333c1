//! Checks of the repository's text: dependencies between modules, lengths, conformance ids, and the
//! paths that pages name. They read the files as text, so they use nothing of the crate.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

mod architecture;
mod conformance;
mod cycles;
mod files;
mod lengths;
mod paths;
mod rules;
mod scan;
mod tokens;
mod tree;
