//! The calls of `IamCredentialsClient`: requests, replies, retries, deadlines, connections.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod deadlines;
mod invalid_input;
mod outages;
mod replies;
mod requests;
mod retry;
mod spans;
#[cfg(feature = "_tls")]
mod tls;
mod trace_context;
mod transport;
mod wire;

/// Checks that no two levels of an error's chain have the same text, as anyhow's `{:#}` prints them.
fn assert_says_nothing_twice(error: &gcp_iam_credentials::Error) {
    let first: &dyn std::error::Error = error;
    let mut levels: Vec<String> =
        std::iter::successors(Some(first), |level| level.source()).map(ToString::to_string).collect();
    assert_eq!(levels.join(": "), format!("{error:#}"));
    for inner in (1..levels.len()).rev() {
        let text = levels.remove(inner);
        assert!(levels.iter().all(|level| !level.contains(&text)), "{text:?} is printed twice: {error:#}");
    }
}
