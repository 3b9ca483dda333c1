//! Many identities over one client.

use std::time::Duration;

use gcp_iam_credentials::diagnosis::Operation;
use gcp_iam_credentials::pool::PoolStats;
use gcp_iam_credentials::proto::*;
use gcp_iam_credentials::{Impersonation, ImpersonationPool, scopes};
use tokio::task::JoinSet;

use crate::support::accounts::TARGET;
use crate::support::scripted_service::{Answer, Script, builder};

fn account(number: usize) -> String {
    format!("customer-{number}@project.iam.gserviceaccount.com")
}

#[tokio::test]
async fn the_same_identity_shares_its_token_and_any_difference_makes_another() {
    let script = Script::default();
    let pool = ImpersonationPool::builder(script.client()).build();
    let acting = || pool.impersonate(TARGET);
    let distinct = || {
        [
            acting().access_token(["email"]),
            acting().access_token(["openid"]),
            acting().access_token(["email", "openid"]),
            pool.impersonate("other@example.com").access_token(["email"]),
            acting().delegates(["hop@example.com"]).access_token(["email"]),
            acting().lifetime(Duration::from_secs(60)).access_token(["email"]),
            acting().quota_project("billed").access_token(["email"]),
            acting().id_token("a"),
            acting().id_token("b"),
            acting().include_email(true).id_token("a"),
            acting().self_signed_jwt("a"),
            acting().self_signed_jwt("b"),
            acting().lifetime(Duration::from_secs(60)).self_signed_jwt("a"),
        ]
        .map(Result::unwrap)
    };
    for credentials in distinct() {
        credentials.token().await.unwrap();
    }
    assert_eq!(script.calls(), 13);
    for credentials in distinct() {
        assert!(credentials.is_valid());
    }
    let full_name = format!("projects/-/serviceAccounts/{TARGET}");
    assert!(pool.impersonate(full_name).access_token(["email"]).unwrap().is_valid());
    assert!(acting().lifetime(Impersonation::LIFETIME).access_token(["email"]).unwrap().is_valid());
    let stats = pool.stats();
    let requests = (stats.misses(), stats.hits());
    assert_eq!((stats.identities(), requests, stats.evictions()), (13, (13, 15), 0));
    assert_eq!((stats.fetches(), stats.in_flight()), (13, 0));
}

#[cfg(feature = "credential-files")]
#[tokio::test]
async fn each_subject_is_an_identity_of_its_own() {
    let pool = ImpersonationPool::builder(Script::default().client()).build();
    for subject in ["a@corp.example", "b@corp.example", "a@corp.example"] {
        pool.impersonate(TARGET).subject(subject).access_token(["email"]).unwrap();
    }
    assert_eq!((pool.stats().identities(), pool.stats().hits()), (2, 1));
}

#[tokio::test]
async fn a_signer_and_a_diagnosis_take_no_room() {
    let script = Script::default();
    let pool = ImpersonationPool::builder(script.client()).build();
    let acting = pool.impersonate(TARGET).delegates(["hop@example.com"]);
    let signer = acting.signer().unwrap();
    assert_eq!(signer.email(), TARGET);
    signer.sign_blob("bytes").await.unwrap();
    let request: SignBlobRequest = script.only_request().decode();
    assert_eq!(request.delegates, ["projects/-/serviceAccounts/hop@example.com"]);
    assert!(acting.diagnose(Operation::SignJwt).await.unwrap().is_allowed());
    assert_eq!(pool.stats().identities(), 0);
}

/// conf: A14
#[cfg(feature = "credential-files")]
#[tokio::test]
async fn pooled_credentials_explain_themselves_as_unpooled_ones_do() {
    let client = Script::default().client();
    let pool = ImpersonationPool::builder(client.clone()).build();
    let hops = ["first@example.com", "second@example.com"];
    let (unpooled, pooled) = (client.impersonate(TARGET), pool.impersonate(TARGET));
    let (unpooled, pooled) = (unpooled.delegates(hops), pooled.delegates(hops));
    let subject = "user@corp.example";
    for (unpooled, pooled) in [
        (unpooled.access_token(["email", "openid"]), pooled.access_token(["email", "openid"])),
        (unpooled.id_token("https://run.example"), pooled.id_token("https://run.example")),
        (unpooled.self_signed_jwt("https://api/"), pooled.self_signed_jwt("https://api/")),
        (
            unpooled.clone().subject(subject).access_token(["email"]),
            pooled.clone().subject(subject).access_token(["email"]),
        ),
    ] {
        let (unpooled, pooled) = (unpooled.unwrap(), pooled.unwrap());
        assert_eq!(pooled.explain(), unpooled.explain());
        assert_eq!(pooled.info(), unpooled.info());
        assert!(pooled.explain().to_string().contains("first@example.com"), "{}", pooled.explain());
    }
}

#[tokio::test]
async fn invalid_input_adds_no_identity() {
    let pool = ImpersonationPool::builder(Script::default().client()).build();
    let none: [&str; 0] = [];
    let acting = pool.impersonate(TARGET);
    for (field, outcome) in [
        ("target", pool.impersonate("nobody").access_token(["email"])),
        ("scopes", acting.access_token(none)),
        ("audience", acting.id_token("")),
        ("audience", acting.self_signed_jwt("")),
        ("lifetime", acting.clone().lifetime(Duration::ZERO).access_token(["email"])),
        ("subject", acting.clone().subject("user@corp.example").id_token("a")),
        ("quota_project", acting.clone().quota_project("a b").access_token(["email"])),
    ] {
        assert_eq!(outcome.unwrap_err().field(), Some(field));
    }
    assert_eq!(pool.stats(), PoolStats::default());
}

#[tokio::test]
async fn beyond_its_capacity_the_pool_evicts_the_least_recently_used() {
    let script = Script::default();
    let pool = ImpersonationPool::builder(script.client()).capacity(100).build();
    let favorite = pool.impersonate(TARGET).access_token(["email"]).unwrap();
    favorite.token().await.unwrap();
    for number in 0..1000 {
        pool.impersonate(account(number)).access_token(["email"]).unwrap();
        // It is used in each round, so it is never the least recently used.
        assert!(pool.impersonate(TARGET).access_token(["email"]).unwrap().is_valid(), "{number}");
    }
    let stats = pool.stats();
    assert_eq!((stats.identities(), stats.evictions()), (100, 901));

    // Credentials stay usable after the pool has evicted them.
    drop(pool);
    assert!(favorite.is_valid());
    favorite.refresh().await.unwrap();
}

/// conf: M19, M20
#[tokio::test]
async fn at_most_max_in_flight_fetches_run_and_all_use_one_connection() {
    let script = Script::always(Answer::Ok.after(Duration::from_millis(20)));
    let server = script.serve().await;
    let pool = ImpersonationPool::builder(server.client()).max_in_flight(4).build();
    let mut waiting = JoinSet::new();
    for number in 0..60 {
        // Two callers per identity share one fetch.
        for _ in 0..2 {
            let acting = pool.impersonate(account(number)).access_token([scopes::CLOUD_PLATFORM]).unwrap();
            waiting.spawn(async move { acting.token().await });
        }
    }
    let mut most = 0;
    while let Ok(joined) = tokio::time::timeout(Duration::from_millis(5), waiting.join_next())
        .await
        .map_or_else(|_| Ok(None), |joined| joined.map(Some).ok_or(()))
    {
        most = most.max(pool.stats().in_flight());
        if let Some(outcome) = joined {
            outcome.unwrap().unwrap();
        }
    }
    assert!((1..=4).contains(&most), "{most}");
    assert_eq!((script.calls(), pool.stats().fetches(), server.connections()), (60, 60, 1));
    let request: GenerateAccessTokenRequest = script.received()[0].decode();
    assert_eq!(request.scope, [scopes::CLOUD_PLATFORM]);
}

#[tokio::test]
async fn a_fetch_whose_caller_was_cancelled_frees_its_slot_in_the_pool() {
    let script = Script::always(Answer::Hang);
    let client = script.client_with(builder().timeout(Duration::from_millis(200)));
    let pool = ImpersonationPool::builder(client).max_in_flight(1).build();
    let first = pool.impersonate(account(1)).access_token(["email"]).unwrap();
    let left = tokio::time::timeout(Duration::from_millis(20), first.token()).await;
    assert!(left.is_err());
    script.answer_from_now(Answer::Ok);
    // The abandoned fetch ends at its deadline. Then the next one starts.
    pool.impersonate(account(2)).access_token(["email"]).unwrap().token().await.unwrap();
    assert_eq!(pool.stats().in_flight(), 0);
}
