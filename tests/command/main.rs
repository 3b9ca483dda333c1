//! The program `iamcreds`, run as a child process.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod diagnose;
mod documentation;
mod emulator;
mod exec;
mod explain;
mod helpers;
mod interruption;
mod program;
mod serve;
mod signatures;
mod sources;
mod tokens;
mod tools;
mod usage;
mod verify;
