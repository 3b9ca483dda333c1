//! The emulator, called by real clients.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod aws;
mod bearers;
mod bodies;
mod complete_policy;
mod control_pages;
mod documentation;
mod external_accounts;
mod extreme_values;
mod faults;
mod groups;
mod grpc;
mod iam_api;
mod key_pages;
mod large_policies;
mod lifecycle;
mod metadata_server;
mod oauth;
mod page;
mod policy;
mod rest;
mod sts;
mod system_parameters;
#[cfg(feature = "tls-ring")]
mod tls;
mod token_pages;
mod web_pages;
mod workforce;
