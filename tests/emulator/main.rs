//! The emulator as its clients see it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod documentation;
mod grpc;
mod oauth;
mod policy;
mod rest;
