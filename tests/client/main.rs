//! The calls of `IamCredentialsClient`: requests, replies, retries, deadlines, connections.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod deadlines;
mod invalid_input;
mod replies;
mod requests;
mod retry;
#[cfg(feature = "_tls")]
mod tls;
mod transport;
mod wire;
