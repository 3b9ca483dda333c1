//! Many identities over one client.

use std::time::Duration;

use crate::support::scripted_service::{Answer, Script, TARGET, builder};
use gcp_iam_credentials::proto::*;
use gcp_iam_credentials::{ImpersonationPool, scopes};
use tokio::task::JoinSet;

fn account(number: usize) -> String {
    format!("customer-{number}@project.iam.gserviceaccount.com")
}

#[tokio::test]
async fn the_same_identity_shares_its_token_and_any_difference_makes_another() {
    let script = Script::default();
    let client = script.client();
    let pool = ImpersonationPool::builder(client.clone()).build();
    let how = client.impersonate(TARGET);
    let distinct = || {
        [
            pool.access_token(TARGET, ["a"]),
            pool.access_token(TARGET, ["b"]),
            pool.access_token(TARGET, ["a", "b"]),
            pool.access_token("other@example.com", ["a"]),
            pool.access_token_with(&how.clone().delegates(["hop@example.com"]), ["a"]),
            pool.access_token_with(&how.clone().lifetime(Duration::from_secs(60)), ["a"]),
            pool.access_token_with(&how.clone().quota_project("billed"), ["a"]),
            pool.id_token(TARGET, "a"),
            pool.id_token(TARGET, "b"),
            pool.id_token_with(&how.clone().include_email(true), "a"),
        ]
        .map(Result::unwrap)
    };
    for acting in distinct() {
        acting.token().await.unwrap();
    }
    assert_eq!(script.calls(), 10);
    for acting in distinct() {
        assert!(acting.is_valid());
    }
    let full_name = format!("projects/-/serviceAccounts/{TARGET}");
    assert!(pool.access_token(full_name, ["a"]).unwrap().is_valid());
    assert!(pool.access_token_with(&how, ["a"]).unwrap().is_valid());
    let stats = pool.stats();
    assert_eq!((stats.identities, stats.misses, stats.hits, stats.evictions), (10, 10, 12, 0));
    assert_eq!((stats.fetches, stats.in_flight), (10, 0));
    assert_eq!(pool.signer(TARGET).unwrap().email(), TARGET);
}

#[tokio::test]
async fn invalid_input_adds_no_identity() {
    let pool = ImpersonationPool::builder(Script::default().client()).build();
    let none: [&str; 0] = [];
    assert_eq!(pool.access_token("nobody", ["a"]).unwrap_err().field(), Some("target"));
    assert_eq!(pool.access_token(TARGET, none).unwrap_err().field(), Some("scopes"));
    assert_eq!(pool.id_token(TARGET, "").unwrap_err().field(), Some("audience"));
    assert_eq!(pool.stats().identities, 0);
}

#[tokio::test]
async fn beyond_its_capacity_the_pool_evicts_the_least_recently_used() {
    let script = Script::default();
    let pool = ImpersonationPool::builder(script.client()).capacity(100).build();
    let favourite = pool.access_token(TARGET, ["a"]).unwrap();
    favourite.token().await.unwrap();
    for number in 0..1000 {
        pool.access_token(account(number), ["a"]).unwrap();
        // Asked for all the time, it is never the one that was used the longest ago.
        assert!(pool.access_token(TARGET, ["a"]).unwrap().is_valid(), "{number}");
    }
    let stats = pool.stats();
    assert_eq!((stats.identities, stats.evictions), (100, 901));

    // Whoever holds credentials goes on with them when the pool has let them go.
    drop(pool);
    assert!(favourite.is_valid());
    favourite.refresh().await.unwrap();
}

/// conf: M19, M20
#[tokio::test]
async fn at_most_max_in_flight_fetches_run_and_all_use_one_connection() {
    let script = Script::always(Answer::Ok.after(Duration::from_millis(20)));
    let server = script.serve().await;
    let pool = ImpersonationPool::builder(server.client()).max_in_flight(4).build();
    let mut waiting = JoinSet::new();
    for number in 0..60 {
        // Each identity twice: its callers share one fetch.
        for _ in 0..2 {
            let acting = pool.access_token(account(number), [scopes::CLOUD_PLATFORM]).unwrap();
            waiting.spawn(async move { acting.token().await });
        }
    }
    let mut most = 0;
    while let Ok(joined) = tokio::time::timeout(Duration::from_millis(5), waiting.join_next())
        .await
        .map_or_else(|_| Ok(None), |joined| joined.map(Some).ok_or(()))
    {
        most = most.max(pool.stats().in_flight);
        if let Some(outcome) = joined {
            outcome.unwrap().unwrap();
        }
    }
    assert!((1..=4).contains(&most), "{most}");
    assert_eq!((script.calls(), pool.stats().fetches, server.connections()), (60, 60, 1));
    let request: GenerateAccessTokenRequest = script.seen()[0].decode();
    assert_eq!(request.scope, [scopes::CLOUD_PLATFORM]);
}

#[tokio::test]
async fn a_fetch_whose_caller_was_cancelled_frees_its_slot_in_the_pool() {
    let script = Script::always(Answer::Hang);
    let client = script.client_with(builder().timeout(Duration::from_millis(200)));
    let pool = ImpersonationPool::builder(client).max_in_flight(1).build();
    let first = pool.access_token(account(1), ["a"]).unwrap();
    let left = tokio::time::timeout(Duration::from_millis(20), first.token()).await;
    assert!(left.is_err());
    script.answer_from_now(Answer::Ok);
    // The fetch of the one who left runs into its deadline; then the next has its turn.
    pool.access_token(account(2), ["a"]).unwrap().token().await.unwrap();
    assert_eq!(pool.stats().in_flight, 0);
}
