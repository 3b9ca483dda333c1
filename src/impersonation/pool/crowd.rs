//! What happens to a pool when very many identities want tokens at once, on a paused clock.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::simulation::instant_client;
use super::{ImpersonationPool, PoolBuilder};
use crate::{Credentials, Error, ErrorKind};

fn pool(change: impl FnOnce(PoolBuilder) -> PoolBuilder) -> ImpersonationPool {
    change(ImpersonationPool::builder(instant_client()).capacity(200_000).jitter_seed(1)).build()
}

fn identity(pool: &ImpersonationPool, number: usize) -> Credentials {
    let target = format!("customer-{number}@project.iam.gserviceaccount.com");
    pool.impersonate(target).access_token(["email"]).unwrap()
}

fn ask(
    pool: &ImpersonationPool,
    numbers: std::ops::Range<usize>,
) -> JoinSet<(usize, Result<Duration, Error>)> {
    let began = Instant::now();
    let mut asking = JoinSet::new();
    for number in numbers {
        let acting = identity(pool, number);
        asking.spawn(async move { (number, acting.token().await.map(|_| began.elapsed())) });
    }
    asking
}

/// conf: N5, N6
#[tokio::test(start_paused = true)]
async fn a_mass_start_is_served_in_order_at_the_rate_of_the_limit() {
    let pool = pool(|pool| pool.max_fetches_per_minute(600));
    let asking = ask(&pool, 0..1500);
    sleep(Duration::from_millis(1)).await;
    assert_eq!((pool.stats().fetches(), pool.stats().waiting()), (10, 1490));
    sleep(Duration::from_secs(60)).await;
    assert!((590..=600).contains(&pool.stats().fetches()), "{:?}", pool.stats());
    let mut served: Vec<_> = asking.join_all().await;
    served.sort_by_key(|(number, _)| *number);
    let waited: Vec<Duration> = served.into_iter().map(|(_, waited)| waited.unwrap()).collect();
    assert!(waited.is_sorted(), "{waited:?}");
    assert!(waited[1499] < Duration::from_secs(156), "{waited:?}");
    assert_eq!((pool.stats().fetches(), pool.stats().waiting(), pool.stats().in_flight()), (1500, 0, 0));
}

/// conf: N6
#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_comes_before_refreshes_ahead() {
    let pool = pool(|pool| pool.max_fetches_per_minute(60));
    let _ = timeout(Duration::from_secs(200), ask(&pool, 0..100).join_all()).await.unwrap();
    // All refreshes are due, and none has expired.
    sleep(Duration::from_secs(3400)).await;
    for number in 0..100 {
        identity(&pool, number).token().await.unwrap();
    }
    assert!(pool.stats().waiting() > 90, "{:?}", pool.stats());
    let began = Instant::now();
    identity(&pool, 1000).token().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

/// conf: N6, N7
#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_gives_its_place_back_and_finds_it_again() {
    let pool = pool(|pool| pool.max_fetches_per_minute(60));
    let left = timeout(Duration::from_secs(1), ask(&pool, 0..50).join_all()).await;
    assert!(left.is_err());
    let began = Instant::now();
    // Nobody waits for the others any more.
    ask(&pool, 100..103).join_all().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // One comes back. It is before those that come now.
    let (mut late, mut back) = (ask(&pool, 200..230), ask(&pool, 40..41));
    back.join_next().await.unwrap().unwrap().1.unwrap();
    assert!(late.try_join_next().is_none());
}

/// conf: N7
#[tokio::test(start_paused = true)]
async fn a_caller_whose_time_ends_in_the_line_learns_why_and_the_fetch_keeps_its_place() {
    let pool = pool(|pool| pool.max_fetches_per_minute(60));
    let others = ask(&pool, 0..100);
    sleep(Duration::from_millis(1)).await;
    let acting = identity(&pool, 100);
    let error = acting.token_within(Instant::now() + Duration::from_secs(70)).await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Timeout, true));
    let text = error.to_string();
    assert!(text.contains("at most 60 start in any minute (`max_fetches_per_minute`)"), "{text}");
    assert!(text.contains("\nfix: call again"), "{text}");
    // The wait isn't part of the time that the fetch may take.
    acting.token().await.unwrap();
    assert_eq!((acting.status().fetches(), acting.status().failures()), (1, 0));
    drop(others);
}

/// conf: N7
#[tokio::test(start_paused = true)]
async fn identities_that_are_dropped_leave_the_line() {
    let pool = pool(|pool| pool.max_fetches_per_minute(60).capacity(1));
    let asking = ask(&pool, 0..50);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(pool.stats().waiting(), 49);
    drop(asking);
    sleep(Duration::from_millis(1)).await;
    // The pool has one identity, whose fetch goes on.
    assert_eq!(pool.stats().waiting(), 1);
}

/// conf: N8
#[tokio::test(start_paused = true)]
async fn the_second_generation_of_a_mass_start_is_no_wave() {
    let pool = pool(|pool| pool.max_fetches_per_minute(1500));
    ask(&pool, 0..1500).join_all().await;
    // Each identity is used every twenty seconds or so.
    let (mut before, mut peak) = (pool.stats().fetches(), 0);
    for minute in 0..62 {
        for part in 0..3 {
            sleep(Duration::from_secs(20)).await;
            for number in 0..1500 {
                assert!(identity(&pool, number).token().await.is_ok(), "minute {minute}.{part}");
            }
        }
        let now = pool.stats().fetches();
        peak = peak.max(now - before);
        before = now;
    }
    // A whole generation in half an hour is 50 a minute.
    assert!((50..100).contains(&peak), "{peak}");
}

#[tokio::test(start_paused = true)]
async fn zero_is_no_limit() {
    let pool = pool(|pool| pool.max_fetches_per_minute(0).max_in_flight(usize::MAX));
    let began = Instant::now();
    ask(&pool, 0..2000).join_all().await;
    assert_eq!((began.elapsed(), pool.stats().fetches()), (Duration::ZERO, 2000));
}
