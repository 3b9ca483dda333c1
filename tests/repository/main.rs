//! Checks of the repository's text: the ids of conformance.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

mod conformance;
mod files;
