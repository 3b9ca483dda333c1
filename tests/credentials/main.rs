//! `Credentials`: the sources of tokens, and the cache on real runtimes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/mod.rs"]
mod support;

#[cfg(all(feature = "credential-files", feature = "_tls"))]
mod credential_files;
#[cfg(feature = "gcp-auth")]
mod gcp_auth_provider;
mod log_of_fetches;
mod reentrant_code;
mod runtimes;
#[cfg(feature = "credential-files")]
mod token_endpoint;
