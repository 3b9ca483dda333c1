//! No secret of a call is in `Debug`, `Display`, errors, or the log at any level.
//! The subscriber is global, so these tests have their own process.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

mod support;

use std::time::{Duration, SystemTime};

use gcp_iam_credentials::proto::*;
use gcp_iam_credentials::{Credentials, IamCredentialsClient, RetryPolicy, Token};
use tonic::Code;

use support::accounts::TARGET;
use support::log_capture::LogCapture;
use support::scripted_service::{Answer, SOURCE_TOKEN, Script, id_token};

const MINTED: &str = "minted-token-that-must-stay-secret";
const PAYLOAD: &str = "payload-that-must-stay-secret";
const SIGNATURE: &str = "signature-that-must-stay-secret";
const SECRETS: [&str; 4] = [SOURCE_TOKEN, MINTED, PAYLOAD, SIGNATURE];

fn assert_clean(text: &str) {
    for secret in SECRETS {
        // Parts of a secret count too, and `Debug` prints bytes as numbers.
        for part in [&secret[..12], &format!("{:?}", &secret.as_bytes()[..6]).replace(['[', ']'], "")] {
            let found = text.find(part).map(|at| &text[at.saturating_sub(300)..(at + 40).min(text.len())]);
            assert_eq!(found, None, "a secret is disclosed");
        }
    }
}

fn replies() -> [Answer; 4] {
    let expire_time = Some((SystemTime::now() + Duration::from_secs(3600)).into());
    let token = id_token(&serde_json::json!({"exp": 4_000_000_000_u64, "jti": MINTED}));
    [
        Answer::reply(&GenerateAccessTokenResponse { access_token: MINTED.to_owned(), expire_time }),
        Answer::reply(&GenerateIdTokenResponse { token }),
        Answer::reply(&SignBlobResponse { key_id: "k".to_owned(), signed_blob: SIGNATURE.into() }),
        Answer::reply(&SignJwtResponse { key_id: "k".to_owned(), signed_jwt: SIGNATURE.to_owned() }),
    ]
}

/// Makes every call, and returns every text that its outcome can produce.
async fn exercise(client: IamCredentialsClient) -> String {
    let claims = serde_json::json!({ "sub": PAYLOAD });
    let acting = client.impersonate(TARGET).access_token(["email"]).unwrap();
    let mut shown = vec![format!("{client:?} {acting:?} {:?}", client.impersonate(TARGET))];
    let calls = (
        client.generate_access_token(TARGET, ["email"]),
        client.generate_id_token(TARGET, "aud"),
        client.sign_blob(TARGET, PAYLOAD),
        client.sign_jwt(TARGET, &claims),
    );
    shown.push(format!("{calls:?}"));
    macro_rules! show {
        ($call:expr) => {
            shown.push(match $call.await {
                Ok(reply) => format!("{reply:?} {reply:#?}"),
                Err(error) => format!("{error} {error:?} {error:#?} {:?}", error.hint()),
            });
        };
    }
    show!(calls.0);
    show!(calls.1);
    show!(calls.2);
    show!(calls.3);
    show!(acting.token());
    shown.push(format!("{acting:?} {acting:#?}"));
    shown.join("\n")
}

/// Returns a service for each way in which a call can end.
fn scripts() -> Vec<Script> {
    let html = vec![("content-type", "text/html")];
    let malformed_details =
        vec![("content-type", "application/grpc"), ("grpc-status-details-bin", "!"), ("grpc-status", "7")];
    vec![
        Script::new(replies()).then(replies()[0].clone()),
        Script::always(Answer::status(Code::PermissionDenied, "no")),
        Script::always(Answer::Hang),
        Script::always(Answer::Http(502, html, "<html></html>")),
        Script::always(Answer::Http(200, malformed_details, "")),
        Script::always(Answer::Break),
    ]
}

/// conf: M18, R5, R13, G83
#[test]
fn no_secret_is_shown_or_logged_at_any_level() {
    let captured = LogCapture::of_this_process();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let shown = runtime.block_on(async {
        let mut shown = Vec::new();
        for script in scripts() {
            let server = script.serve().await;
            let client = server.client_with(
                IamCredentialsClient::builder()
                    .attempt_timeout(Duration::from_millis(100))
                    .retry(RetryPolicy::new().max_attempts(2)),
            );
            shown.push(exercise(client).await);
            assert!(script.calls() >= 5, "{}", script.calls());
        }
        shown
    });
    drop(runtime);

    shown.iter().for_each(|text| assert_clean(text));
    let logged = captured.text();
    let call = format!("iam_credentials_call{{operation=\"sign_blob\" account=\"{TARGET}\"}}");
    for expected in [
        "gcp_iam_credentials",
        &call,
        "attempt succeeded attempt=1 took=",
        "attempt failed attempt=1 took=",
        "next attempt attempt=2 wait=",
        "token fetched",
        "TRACE",
        "h2",
    ] {
        assert!(logged.contains(expected), "the log has no {expected:?}: nothing was captured?");
    }
    assert_clean(&logged);
}

/// conf: M18
#[test]
fn debug_output_of_messages_and_tokens_shows_only_sizes() {
    let token = Token::new(SOURCE_TOKEN, None).unwrap();
    let messages = (
        GenerateAccessTokenResponse { access_token: MINTED.to_owned(), expire_time: None },
        GenerateIdTokenResponse { token: MINTED.to_owned() },
        SignBlobRequest { payload: PAYLOAD.into(), ..Default::default() },
        SignBlobResponse { signed_blob: SIGNATURE.into(), ..Default::default() },
        SignJwtRequest { payload: PAYLOAD.to_owned(), ..Default::default() },
        SignJwtResponse { signed_jwt: SIGNATURE.to_owned(), ..Default::default() },
    );
    let shown = format!("{messages:?} {messages:#?} {token:?} {:?}", Credentials::fixed(token.clone()));
    assert!(shown.contains("<redacted, 29 bytes>"), "{shown}");
    assert_clean(&shown);
}
