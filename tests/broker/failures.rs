//! What a program hears if there is no token.

use std::time::Duration;

use gcp_iam_credentials::broker::MetadataServer;
use gcp_iam_credentials::emulator::{Emulator, Fault, Policy, Role};
use gcp_iam_credentials::{Code, IamCredentialsClient, RetryPolicy};

use tokio::time::Instant;

use crate::support::emulator::{self, EMAIL};
use crate::support::scripted_service::fixed;
use crate::{IDENTITY, TOKEN, get, token};

/// A server whose calls aren't repeated.
async fn impatient(emulator: &Emulator) -> MetadataServer {
    let client = IamCredentialsClient::builder().credentials(fixed()).endpoint(emulator.endpoint());
    let client = client.retry(RetryPolicy::none()).build().unwrap();
    MetadataServer::builder(client.impersonate(EMAIL)).start().await.unwrap()
}

/// conf: I15
#[tokio::test]
async fn an_outage_is_transient_for_the_program_and_passes() {
    let emulator = emulator::start().await;
    let server = impatient(&emulator).await;
    emulator.faults().inject(Fault::status(Code::Unavailable).message("the service rests").times(1));
    let (status, body) = get(&server, TOKEN).await;
    assert_eq!((status, body.contains("the service rests")), (503, true), "{body}");
    let start = Instant::now();
    while get(&server, TOKEN).await.0 == 503 {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    token(&server, "").await;
}

/// conf: I15
#[tokio::test]
async fn a_refusal_says_what_to_grant_and_shows_no_secret() {
    let other = "other@project.iam.gserviceaccount.com";
    let policy = Policy::new()
        .token("hidden-source-token", "user:alice@example.com")
        .grant("user:bob@example.com", Role::TOKEN_CREATOR, EMAIL)
        .grant("user:alice@example.com", Role::TOKEN_CREATOR, other);
    let emulator = Emulator::builder().policy(policy).start().await.unwrap();
    let client = IamCredentialsClient::builder()
        .credentials(gcp_iam_credentials::Credentials::fixed(
            gcp_iam_credentials::Token::new("hidden-source-token", None).unwrap(),
        ))
        .endpoint(emulator.endpoint())
        .build()
        .unwrap();
    let server = MetadataServer::builder(client.impersonate(EMAIL)).start().await.unwrap();
    for path in [TOKEN.to_owned(), format!("{IDENTITY}?audience=a")] {
        let (status, body) = get(&server, &path).await;
        assert_eq!(status, 403, "{body}");
        assert!(body.contains(EMAIL) && body.contains("\nfix: ") && body.contains("TokenCreator"), "{body}");
        assert!(!body.contains("hidden"), "{body}");
    }
    emulator.policy().grant("user:alice@example.com", Role::TOKEN_CREATOR, EMAIL).unwrap();
    let start = Instant::now();
    while get(&server, TOKEN).await.0 != 200 {
        assert!(start.elapsed() < Duration::from_secs(15), "the refusal is forgotten after 5 s");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
