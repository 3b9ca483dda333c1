//! ID tokens and signatures, verified with published keys.
#![cfg(all(feature = "credential-files", feature = "_tls"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod fetched_keys;
mod forged_tokens;
mod id_tokens;
mod issuer;
mod signatures;
