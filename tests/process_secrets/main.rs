//! No secret is in anything that the crate shows: results, errors, `Debug`, `Display`, panics, the log
//! of all crates at every level, the emulator's pages, and the output of the program `iamcreds`.
//!
//! Every secret has a value that occurs nowhere else. Scenarios use the public API with these values
//! and collect what is shown. Then all of it is searched for parts of the values, as they are and in the
//! encodings that could hide them. A secret that no server and no caller saw fails the test too: it
//! would prove nothing.
//!
//! The subscriber is global, so this test has its own process.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[cfg(unix)]
#[path = "../support/envoy_messages.rs"]
mod proto;
#[path = "../support/mod.rs"]
mod support;

mod acting;
#[cfg(unix)]
mod broker;
mod calls;
mod certificates;
mod child;
mod credential_files;
mod emulator_pages;
mod federation;
mod grants;
#[cfg(all(feature = "cli", unix))]
mod program;
mod search;
mod secrets;
mod shown;
mod sources;

use secrets::Secrets;
use shown::Shown;
use support::log_capture::LogCapture;

/// What must be in the log: otherwise it proves nothing.
const EXPECTED_IN_LOG: [&str; 14] = [
    "TRACE h2::",
    "TRACE hyper",
    "gcp_iam_credentials::",
    "iam_credentials_call{operation=\"sign_blob\" account=\"target@project.iam.gserviceaccount.com\" endpoint=",
    "attempt succeeded attempt=1 took=",
    "attempt failed attempt=1 took=",
    "next attempt attempt=2 wait=",
    "the token endpoint returned no token",
    "gcp_auth returned no token",
    "token fetched",
    "the client certificate is incomplete",
    "a request to the emulator",
    "refused a token",
    "there is no token",
];

/// What the scenarios share.
#[derive(Default)]
pub(crate) struct Scene {
    pub(crate) secrets: Secrets,
    pub(crate) shown: Shown,
}

/// conf: M18, R5, R13, G83
#[test]
fn no_secret_is_shown_or_logged_anywhere() {
    let log = LogCapture::of_this_process();
    let scene = Scene::default();
    scene.shown.panics();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        // They wait more than they work.
        tokio::join!(
            calls::run(&scene),
            sources::run(&scene),
            credential_files::run(&scene),
            acting::run(&scene),
            federation::run(&scene),
            certificates::run(&scene),
            grants::run(&scene),
            emulator_pages::run(&scene),
        );
        #[cfg(unix)]
        broker::run(&scene).await;
        #[cfg(all(feature = "cli", unix))]
        program::run(&scene).await;
    });
    drop(runtime);

    let logged = log.text();
    for expected in EXPECTED_IN_LOG {
        assert!(logged.contains(expected), "the log has no {expected:?}: nothing was captured?");
    }
    let unused = scene.secrets.unused();
    assert!(unused.is_empty(), "nobody saw these secrets: {unused:?}");
    let searcher = scene.secrets.searcher();
    let mut found = searcher.findings(&logged, "log");
    scene.shown.each(|place, text| found.extend(searcher.findings(text, place)));
    assert!(found.is_empty(), "{} secrets are shown:\n{}", found.len(), found.join("\n"));
}
