//! The metrics, with a recorder that accepts only what `docs/tracing.md` lists.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/mod.rs"]
mod support;

#[cfg(unix)]
mod broker;
mod calls;
mod documentation;
mod fetches;
mod hits;
mod pools;
mod random_callers;
mod recorder;
mod reentrant_recorder;
