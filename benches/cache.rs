//! The time to read a fresh token, and the time from a source's reply to the last of many waiters.
//!
//! `waiters` ends when the last task has its token, on a runtime with two threads. `failures` does
//! the same for a reply that is an error.

#![allow(clippy::expect_used, reason = "a benchmark may fail")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use criterion::{Criterion, criterion_group, criterion_main};
use gcp_iam_credentials::{Credentials, Error, Token};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn token() -> Result<Token, Error> {
    Token::new("x".repeat(1024), SystemTime::now() + Duration::from_secs(3600))
}

fn reads(criterion: &mut Criterion) {
    let credentials = Credentials::from_fn(|| async { token() });
    runtime().block_on(credentials.token()).expect("a token");
    let read = |times: u64| {
        for _ in 0..times {
            black_box(black_box(&credentials).cached());
        }
    };
    let mut group = criterion.benchmark_group("read");
    group.bench_function("one_thread", |bencher| {
        bencher.iter_custom(|times| {
            let start = Instant::now();
            read(times);
            start.elapsed()
        });
    });
    // Each thread does all reads: if threads don't slow each other down, it takes as long as one.
    group.bench_function("two_threads", |bencher| {
        bencher.iter_custom(|times| {
            let start = Instant::now();
            std::thread::scope(|threads| {
                for _ in 0..2 {
                    threads.spawn(|| read(times));
                }
            });
            start.elapsed()
        });
    });
    group.finish();
}

/// The time from the reply to the last of this many tasks.
async fn time_to_last(tasks: usize, outcome: fn() -> Result<Token, Error>) -> Duration {
    let reply = Arc::new(Notify::new());
    let waits = Arc::clone(&reply);
    let credentials = Credentials::from_fn(move || {
        let reply = Arc::clone(&waits);
        async move {
            reply.notified().await;
            outcome()
        }
    });
    let arrived = Arc::new(AtomicUsize::new(0));
    let mut waiters = JoinSet::new();
    for _ in 0..tasks {
        let (credentials, arrived) = (credentials.clone(), Arc::clone(&arrived));
        waiters.spawn(async move {
            arrived.fetch_add(1, Ordering::SeqCst);
            black_box(credentials.token().await.is_ok());
            Instant::now()
        });
    }
    while arrived.load(Ordering::SeqCst) < tasks {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    let start = Instant::now();
    reply.notify_one();
    let last = waiters.join_all().await.into_iter().max().expect("there are tasks");
    assert_eq!(credentials.status().fetches(), 1);
    last - start
}

fn waiters(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("time_to_last");
    group.sample_size(10).measurement_time(Duration::from_secs(8));
    let failures = || Err(Error::transient("unavailable"));
    for tasks in [1_000, 10_000] {
        for (name, outcome) in [("waiters", token as fn() -> _), ("failures", failures)] {
            group.bench_function(format!("{name}_{tasks}"), |bencher| {
                bencher.iter_custom(|times| {
                    runtime.block_on(async {
                        let mut total = Duration::ZERO;
                        for _ in 0..times {
                            total += time_to_last(tasks, outcome).await;
                        }
                        total
                    })
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, reads, waiters);
criterion_main!(benches);
