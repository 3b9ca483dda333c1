//! Credentials on any client: the tower layer and the tonic interceptor.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod failures;
mod headers;
mod health_server;
mod interceptor;
mod random_timings;
mod rejected_token;
mod services;
mod waiting;
