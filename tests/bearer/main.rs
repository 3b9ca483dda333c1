//! Credentials on any client: the tower layer and the tonic interceptor.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

mod clients;
mod interceptor;
mod layer;
