//! Domain-wide delegation: tokens of a user of a Workspace domain.

use std::time::{Duration, SystemTime};

use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::{IamCredentialsClient, scopes};
use tokio::task::JoinSet;

use crate::HOUR;
use crate::support::accounts::TARGET;
use crate::support::emulator::{client_of, start};
use crate::support::scripted_service::{Script, builder, fixed};
use crate::support::token_server::{Answer, TokenServer};

/// conf: P34
#[tokio::test]
async fn domain_wide_delegation_needs_no_key() {
    let emulator = start().await;
    let client = client_of(&emulator);
    let options = client.impersonate(TARGET).subject("user@corp.example");
    let acting = options.access_token([scopes::PUBSUB, "https://example.com/other"]).unwrap();
    let token = acting.token().await.unwrap();
    let known = emulator.verify_access_token(token.secret()).unwrap();
    assert_eq!(known.principal(), "user:user@corp.example");
    assert_eq!(known.scopes(), [scopes::PUBSUB, "https://example.com/other"]);
    let left = token.expires_at().unwrap().duration_since(SystemTime::now()).unwrap();
    assert!(left > HOUR - Duration::from_secs(120) && left <= HOUR, "{left:?}");
    assert_eq!(acting.info().principal(), Some("user@corp.example"));
}

/// conf: A17
#[tokio::test]
async fn every_name_of_the_emulator_works_for_subjects() {
    for (address, hosts) in
        [("127.0.0.1:0", &["127.0.0.1", "localhost", "LOCALHOST"][..]), ("[::1]:0", &["[::1]"])]
    {
        let started = Emulator::builder().address(address.parse().unwrap()).start().await;
        // Not every machine has IPv6.
        let Ok(emulator) = started else { continue };
        let port = emulator.endpoint().rsplit(':').next().unwrap();
        for host in hosts {
            let builder = IamCredentialsClient::builder().credentials(fixed());
            let client = builder.endpoint(format!("http://{host}:{port}")).build().unwrap();
            let acting = client.impersonate(TARGET).subject("user@corp.example");
            let token = acting.access_token([scopes::PUBSUB]).unwrap().token().await;
            let token = token.unwrap_or_else(|error| panic!("{host}: {error:#}"));
            assert!(emulator.verify_access_token(token.secret()).is_some());
        }
    }
}

/// conf: A15
#[tokio::test]
async fn ten_thousand_subjects_share_a_handful_of_connections() {
    const AT_ONCE: usize = 1_000;
    let server = TokenServer::start([Answer::Token(3600)]).await;
    let origin = server.url().replace("/token", "");
    let client = Script::default().client_with(builder().endpoint(origin));
    let acting = |number: usize| {
        let acting = client.impersonate(TARGET).subject(format!("user{number}@corp.example"));
        acting.access_token([scopes::PUBSUB]).unwrap()
    };
    let subjects: Vec<_> = (0..10_000).map(acting).collect();
    let mut fetches = JoinSet::new();
    let step = subjects.len() / AT_ONCE;
    for subject in subjects.into_iter().step_by(step) {
        fetches.spawn(async move { subject.token().await.unwrap() });
    }
    assert_eq!(fetches.join_all().await.len(), AT_ONCE);
    assert_eq!(server.requests(), AT_ONCE);
    assert!(server.connections() <= 32, "{} connections", server.connections());
}
