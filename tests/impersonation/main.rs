//! Acting as another service account: options, signers, diagnosis, the pool.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod impersonation;
mod pool;
