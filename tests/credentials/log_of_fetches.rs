//! What the cache logs about fetches.

use std::time::Duration;

use gcp_iam_credentials::{Credentials, Error};

use crate::support::log_capture::LogCapture;
use crate::support::runtime::one_thread;

#[test]
fn a_failed_fetch_is_logged_with_fields_that_a_program_can_read() {
    let log = LogCapture::while_running(|| {
        let credentials = Credentials::from_fn(|| async { Err(Error::transient("no network")) });
        one_thread().block_on(credentials.token()).unwrap_err();
    });
    let text = log.text();
    for part in [
        "WARN",
        "the token could not be fetched",
        "kind=Credentials",
        "code=\"UNAVAILABLE\"",
        "took=",
        "still_alive=false",
        "error=no network",
    ] {
        assert!(text.contains(part), "the log has no {part}: {text}");
    }
}

#[test]
fn the_logged_time_of_a_fetch_is_in_milliseconds() {
    let log = LogCapture::while_running(|| {
        let credentials = Credentials::from_fn(|| async {
            std::thread::sleep(Duration::from_millis(20));
            Err(Error::transient("no network"))
        });
        one_thread().block_on(credentials.token()).unwrap_err();
    });
    let text = log.text();
    let after_name = text.split("took=").nth(1).unwrap();
    let milliseconds: u64 = after_name.split_whitespace().next().unwrap().parse().unwrap();
    assert!((20..20_000).contains(&milliseconds), "{text}");
}
