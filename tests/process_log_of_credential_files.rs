//! No secret of a credential file, of a request to a token endpoint or of its reply is in errors or
//! in the log at any level. The subscriber is global, so this test has its own process.
#![cfg(feature = "credential-files")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

mod support;

use std::sync::Arc;

use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::{Credentials, Error, Token, scopes};

use support::log_capture::LogCapture;
use support::token_server::{Answer, CLIENT_SECRET, REFRESH_TOKEN, TokenServer};

const BODY: &str = "body-that-must-stay-secret";
const MINTED: &str = "minted-token-that-must-stay-secret";

#[track_caller]
fn assert_clean(text: &str, key: &str) {
    // Every JSON Web Token begins with the last one.
    for secret in [BODY, MINTED, CLIENT_SECRET, REFRESH_TOKEN, &REFRESH_TOKEN[3..], key, "eyJ"] {
        let found = text.find(secret).map(|at| &text[at.saturating_sub(300)..(at + 60).min(text.len())]);
        assert_eq!(found, None, "a secret is disclosed");
    }
}

fn show(outcome: Result<Token, Error>) -> String {
    match outcome {
        Ok(token) => format!("{token:?}"),
        Err(error) => format!("{error} {error:?} {error:#?}"),
    }
}

/// Returns what the endpoint answers, and whether the answer repeats the refresh token.
fn answers() -> Vec<(Answer, bool)> {
    let good = format!(r#"{{"access_token":"{MINTED}","expires_in":3600}}"#);
    let malformed = format!(r#"{{"access_token":["{BODY}"],"expires_in":"{BODY}"}}"#);
    let described = format!(
        r#"{{"error":"invalid_grant","error_description":"no such grant: {REFRESH_TOKEN}","more":"{BODY}"}}"#
    );
    vec![
        (Answer::body(200, &good), false),
        (Answer::body(200, &malformed), false),
        (Answer::body(200, BODY), false),
        (Answer::body(400, &described), true),
        (Answer::body(403, BODY), false),
        (Answer::body(502, &format!("<html>{BODY}</html>")), false),
        (Answer::Break, false),
    ]
}

/// conf: M18, R5, R13
#[test]
fn no_secret_of_a_file_a_request_or_a_reply_is_shown_or_logged() {
    let captured = LogCapture::of_this_process();
    let runtime = tokio::runtime::Runtime::new().unwrap();

    let emulator = runtime.block_on(Emulator::builder().start()).unwrap();
    let key_file = emulator.service_account_key_json("key@project.iam.gserviceaccount.com");
    let mut key_file: serde_json::Value = serde_json::from_str(&key_file).unwrap();
    let pem = key_file["private_key"].as_str().unwrap().to_owned();
    let key_line = pem.lines().nth(5).unwrap();

    let shown = runtime.block_on(async {
        let mut shown = Vec::new();
        for (answer, describes_a_refresh_token) in answers() {
            let server = TokenServer::start([answer]).await;
            key_file["token_uri"] = server.url().into();
            let key_file = key_file.to_string();
            let provider = Arc::new(gcp_auth::CustomServiceAccount::from_json(&key_file).unwrap());
            let all = [
                Credentials::from_json(&server.user()).unwrap(),
                Credentials::from_json(&key_file).unwrap(),
                Credentials::from_gcp_auth(provider, [scopes::IAM]),
            ];
            // Only a user's endpoint can repeat the user's refresh token.
            let count = if describes_a_refresh_token { 1 } else { 3 };
            for credentials in all.into_iter().take(count) {
                let explained = credentials.explain();
                shown.push(format!("{credentials:?} {credentials:#?} {explained} {explained:?}"));
                shown.push(show(credentials.token().await));
                shown.push(format!("{credentials:?} {:?}", credentials.status()));
            }
            assert!(server.requests() >= count);
        }
        shown
    });
    drop(runtime);

    shown.iter().for_each(|text| assert_clean(text, key_line));
    let logged = captured.text();
    for expected in
        ["the token endpoint returned no token", "gcp_auth returned no token", "TRACE", "hyper_util"]
    {
        assert!(logged.contains(expected), "the log has no {expected:?}: nothing was captured?");
    }
    assert_clean(&logged, key_line);
}
