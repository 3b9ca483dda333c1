//! Federated identities: subject tokens of other platforms, their exchange, and what it is good for.
#![cfg(all(feature = "credential-files", feature = "_tls"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod advice;
mod certificates;
mod commands;
mod downscoping;
mod exchange;
mod impersonation;
mod kinds_of_sources;
mod outage;
mod pages;
mod replaced;
mod sign_ins;
mod subject_tokens;
mod urls;
