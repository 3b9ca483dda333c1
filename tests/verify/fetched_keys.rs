//! Keys that are fetched from a server which replies, is slow, is away or rotates.

use std::time::Duration;

use gcp_iam_credentials::ErrorKind;
use gcp_iam_credentials::verify::{FetchedKeys, IdTokenRules};
use tokio::task::JoinSet;

use crate::issuer::{AUDIENCE, Issuer, claims, rules};
use crate::support::accounts::TARGET;
use crate::support::emulator::{client_of, start};
use crate::support::token_server::{Answer, TokenServer};

/// Moves the clock of this runtime.
async fn wait(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn keys_for(seconds: u64, jwks: &str) -> Answer {
    Answer::Http(200, vec![("cache-control", format!("public, max-age={seconds}"))], jwks.to_owned())
}

/// conf: V4
#[tokio::test]
async fn all_callers_share_one_fetch_and_its_keys_until_they_are_old() {
    let issuer = Issuer::new(&start().await);
    let server = TokenServer::start([keys_for(3600, &issuer.jwks)]).await;
    let keys = FetchedKeys::at(&server.url()).unwrap();
    assert_eq!(server.requests(), 0);
    let verify_many = || async {
        let mut callers = JoinSet::new();
        for _ in 0..50 {
            let (keys, token) = (keys.clone(), issuer.token(&claims()));
            callers.spawn(async move { keys.verify_id_token(&token, &rules()).await.unwrap() });
        }
        callers.join_all().await.len()
    };
    assert_eq!((verify_many().await, server.requests()), (50, 1));
    wait(HOUR - 10 * SECOND).await;
    assert_eq!((verify_many().await, server.requests()), (50, 1));
    wait(20 * SECOND).await;
    assert_eq!((verify_many().await, server.requests()), (50, 2));
}

/// conf: V4
#[tokio::test]
async fn old_keys_are_used_for_up_to_a_day_while_no_newer_ones_can_be_fetched() {
    let issuer = Issuer::new(&start().await);
    let server = TokenServer::start([keys_for(3600, &issuer.jwks), Answer::status(503)]).await;
    let keys = FetchedKeys::at(&server.url()).unwrap();
    let token = issuer.token(&claims());
    keys.verify_id_token(&token, &rules()).await.unwrap();
    wait(2 * HOUR).await;
    for _ in 0..20 {
        keys.verify_id_token(&token, &rules()).await.unwrap();
    }
    assert_eq!(server.requests(), 1 + 3, "three attempts, and then a pause");
    wait(11 * SECOND).await;
    keys.verify_id_token(&token, &rules()).await.unwrap();
    assert_eq!(server.requests(), 1 + 3 + 3);

    wait(22 * HOUR).await;
    let error = keys.verify_id_token(&token, &rules()).await.unwrap_err();
    assert!(error.is_transient() && error.kind() == ErrorKind::Transport, "{error:?}");
}

/// conf: V5
#[tokio::test]
async fn after_a_rotation_the_new_key_is_fetched() {
    let emulator = start().await;
    let url = format!("{}/oauth2/v3/certs", emulator.endpoint());
    let (keys, client) = (FetchedKeys::at(&url).unwrap(), client_of(&emulator));
    let issuers = ["https://accounts.google.com", emulator.endpoint()];
    let rules = IdTokenRules::for_audience(AUDIENCE).issuers(issuers);
    let verify = || async {
        let token = client.generate_id_token(TARGET, AUDIENCE).await.unwrap();
        keys.verify_id_token(token.secret(), &rules).await.map(|_| ())
    };
    verify().await.unwrap();
    emulator.keys().rotate_google().await.unwrap();
    // The last fetch was a moment ago.
    assert_eq!(verify().await.unwrap_err().field(), Some("key_id"));
    wait(10 * SECOND).await;
    verify().await.unwrap();
}

/// conf: V5
#[tokio::test]
async fn tokens_that_name_unknown_keys_cause_one_fetch_in_ten_seconds() {
    let issuer = Issuer::new(&start().await);
    let server = TokenServer::start([keys_for(36_000, &issuer.jwks)]).await;
    let keys = FetchedKeys::at(&server.url()).unwrap();
    for round in 1..=3 {
        for number in 0..20 {
            let mut header = issuer.header();
            header["kid"] = format!("unknown-{number}").into();
            let token = issuer.sign(&header.to_string(), &claims().to_string());
            let error = keys.verify_id_token(&token, &rules()).await.unwrap_err();
            assert_eq!(error.field(), Some("key_id"), "{error}");
        }
        // What isn't a token at all causes none.
        assert_eq!(keys.verify_id_token("a.b.c", &rules()).await.unwrap_err().field(), Some("jwt"));
        keys.verify_id_token(&issuer.token(&claims()), &rules()).await.unwrap();
        assert_eq!(server.requests(), round);
        wait(10 * SECOND).await;
    }
}

/// conf: V6
#[tokio::test]
async fn a_server_without_keys_is_an_error_that_shows_nothing_of_its_reply() {
    let html = "<html>hidden</html>";
    for (answer, kind, transient, attempts) in [
        (Answer::body(503, html), ErrorKind::Transport, true, 3),
        (Answer::body(429, "hidden"), ErrorKind::Transport, true, 3),
        (Answer::body(404, html), ErrorKind::Transport, false, 1),
        (Answer::body(302, "hidden"), ErrorKind::Transport, false, 1),
        (Answer::body(200, html), ErrorKind::InvalidReply, false, 1),
        (Answer::body(200, r#"{"keys":[]}"#), ErrorKind::InvalidReply, false, 1),
        (Answer::body(200, r#"{"hidden":"#), ErrorKind::InvalidReply, false, 1),
        (Answer::body(200, &"hidden".repeat(50_000)), ErrorKind::InvalidReply, false, 1),
        (Answer::Break, ErrorKind::Transport, true, 3),
    ] {
        let server = TokenServer::start([answer]).await;
        let keys = FetchedKeys::at(&server.url()).unwrap();
        let error = keys.keys().await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{error:?}");
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
        assert_eq!(server.requests(), attempts);
        // Callers a moment later get the same error.
        assert_eq!(keys.keys().await.unwrap_err().to_string(), error.to_string());
        assert_eq!(server.requests(), attempts);
    }
}

/// conf: V6
#[tokio::test]
async fn keys_come_from_https_or_this_machine() {
    for url in ["", "keys", "http://keys.example/jwks", "ftp://localhost/keys", "file:///etc/passwd"] {
        assert_eq!(FetchedKeys::at(url).unwrap_err().field(), Some("url"), "{url}");
    }
    assert!(FetchedKeys::of_account("not an account").is_err());
    let keys = FetchedKeys::of_account(TARGET).unwrap();
    assert!(keys.url().ends_with(&format!("/jwk/{TARGET}")), "{keys:?}");
    assert_eq!(FetchedKeys::of_google().unwrap().url(), "https://www.googleapis.com/oauth2/v3/certs");
}
