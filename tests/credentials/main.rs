//! `Credentials`: the sources of tokens, and the cache on real runtimes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "gcp-auth")]
mod as_gcp_auth_provider;
#[cfg(all(feature = "credential-files", feature = "_tls"))]
mod credential_files;
#[cfg(feature = "gcp-auth")]
mod gcp_auth_provider;
#[cfg(feature = "google-cloud-auth")]
mod google_cloud_auth;
mod log_of_fetches;
mod reentrant_code;
mod runtimes;
#[cfg(feature = "credential-files")]
mod token_endpoint;
