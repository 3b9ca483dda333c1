//! The cache on real threads and runtimes: no runtime, one that ends, one that is blocked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use gcp_iam_credentials::{Credentials, Error, Token};
use tokio::runtime::Builder;

use crate::support::runtime::{block_until, one_thread, poll_once, two_threads};
use crate::support::token_source::ScriptedSource;

const HOUR: Duration = Duration::from_secs(3600);

/// Returns a source whose fetches wait until they are released.
fn gated() -> ScriptedSource {
    ScriptedSource::numbered().with_lifetime(HOUR).gated()
}

/// Returns a source for tests that need one token.
fn one_token() -> ScriptedSource {
    let source = gated();
    source.release(1);
    source
}

/// conf: M10
#[test]
fn without_a_runtime_credentials_are_built_and_their_use_is_a_clear_error() {
    let source = one_token();
    let credentials = Credentials::from_source(source.clone());
    for outcome in [poll_once(credentials.token()), poll_once(credentials.refresh())] {
        let Poll::Ready(Err(error)) = outcome else { panic!("{outcome:?}") };
        assert!(error.to_string().contains("tokio runtime"), "{error}");
    }
    assert!(!credentials.keep_warm().is_running());
    assert_eq!(source.fetches(), 0);
    // Those errors are not cached.
    assert_eq!(one_thread().block_on(credentials.token()).unwrap().secret(), "token-1");
}

/// conf: M10
#[test]
fn a_cached_token_is_returned_without_a_runtime() {
    let credentials = Credentials::from_source(one_token());
    one_thread().block_on(credentials.token()).unwrap();
    let Poll::Ready(Ok(token)) = poll_once(credentials.token()) else {
        panic!("a cached token is returned without waiting")
    };
    assert_eq!(token.secret(), "token-1");
    assert!(credentials.is_valid());
}

/// conf: M10, A7
#[test]
fn a_runtime_without_timers_is_an_error_not_a_panic() {
    let bare = Builder::new_current_thread().build().unwrap();
    let credentials = Credentials::from_source(one_token());
    bare.block_on(async {
        for outcome in [credentials.token().await, credentials.refresh().await] {
            let error = outcome.unwrap_err();
            assert!(error.to_string().contains("enable_time"), "{error}");
        }
        assert!(!credentials.keep_warm().is_running());
    });
    assert!(one_thread().block_on(credentials.token()).is_ok());
    assert!(bare.block_on(credentials.token()).is_ok(), "a cached token needs no timers");
}

/// conf: A7
#[test]
fn a_runtime_without_timers_is_found_out_once() {
    let panics = Arc::new(AtomicUsize::new(0));
    let here = std::thread::current().id();
    let (counted, previous) = (Arc::clone(&panics), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| match std::thread::current().id() == here {
        true => _ = counted.fetch_add(1, Ordering::Relaxed),
        false => previous(panic),
    }));
    let bare = Builder::new_current_thread().build().unwrap();
    let credentials = Credentials::from_source(one_token());
    for _ in 0..100 {
        assert!(bare.block_on(credentials.token()).is_err());
    }
    assert_eq!(panics.load(Ordering::Relaxed), 1, "tokio offers no check without a panic");
}

/// conf: M10
#[test]
fn a_fetch_whose_runtime_was_dropped_is_repeated_on_another() {
    for first in [one_thread(), two_threads()] {
        let source = gated();
        let credentials = Credentials::from_source(source.clone());
        first.block_on(async {
            let left = tokio::time::timeout(Duration::from_millis(50), credentials.token()).await;
            assert!(left.is_err(), "no fetch was released");
        });
        drop(first);
        assert_eq!((source.fetches(), source.running()), (1, 0));
        source.release(1);
        let token = one_thread().block_on(credentials.token()).unwrap();
        assert_eq!((token.secret(), source.fetches()), ("token-2", 2));
    }
}

/// conf: M10
#[test]
fn waiters_on_another_runtime_survive_the_end_of_the_fetchs_runtime() {
    let (first, second) = (two_threads(), two_threads());
    let source = gated();
    let credentials = Credentials::from_source(source.clone());
    first.spawn(token_of(&credentials));
    block_until("the fetch", || source.running() == 1);
    let waiters: Vec<_> = (0..100).map(|_| second.spawn(token_of(&credentials))).collect();
    first.shutdown_background();
    block_until("a new fetch", || source.fetches() == 2);
    source.release(1);
    for waiter in waiters {
        assert_eq!(second.block_on(waiter).unwrap().unwrap().secret(), "token-2");
    }
    assert_eq!(source.fetches(), 2);
}

/// conf: M10
#[test]
fn a_fetch_on_a_blocked_runtime_is_replaced_after_its_deadline() {
    let paused = || Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (first, second) = (paused(), paused());
    let source = gated();
    let credentials = Credentials::from_source(source.clone());
    first.block_on(async {
        // Starts a fetch. After this, nothing runs this runtime any more.
        tokio::spawn(token_of(&credentials));
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
    });
    assert_eq!(source.running(), 1);
    let token = second.block_on(async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let waiter = tokio::spawn(token_of(&credentials));
        tokio::time::sleep(Credentials::FETCH_TIMEOUT - Duration::from_secs(10)).await;
        assert_eq!(source.fetches(), 1, "the deadline of the first fetch has not passed yet");
        // One permit is for the blocked fetch.
        source.release(2);
        tokio::time::timeout(Duration::from_secs(10), waiter).await
    });
    assert_eq!(token.unwrap().unwrap().unwrap().secret(), "token-2");
    assert_eq!(source.fetches(), 2);
    drop(first);
    assert_eq!(credentials.cached().unwrap().secret(), "token-2");
}

fn token_of(credentials: &Credentials) -> impl Future<Output = Result<Token, Error>> + Send + use<> {
    let credentials = credentials.clone();
    async move { credentials.token().await }
}

/// conf: M17, R16
#[test]
fn dropping_the_last_handle_ends_the_fetch_and_drops_the_source() {
    let runtime = two_threads();
    let source = gated();
    let credentials = Credentials::from_source(source.clone());
    let warm = {
        let _inside = runtime.enter();
        credentials.keep_warm()
    };
    assert!(warm.is_running());
    block_until("the fetch", || source.running() == 1);
    drop(credentials);
    assert_eq!(source.running(), 1, "the guard of keep_warm keeps the fetch running");
    drop(warm);
    block_until("the end of the fetch", || source.running() == 0 && source.is_unused());
    block_until("the end of all tasks", || runtime.metrics().num_alive_tasks() == 0);
}

/// conf: M17
#[test]
fn dropping_nested_credentials_ends_the_inner_fetch() {
    let runtime = two_threads();
    let source = gated();
    let inner = Credentials::from_source(source.clone());
    let outer = Credentials::from_fn(move || {
        let inner = inner.clone();
        async move { inner.token().await }
    });
    let waiter = runtime.spawn(token_of(&outer));
    block_until("the fetch", || source.running() == 1);
    waiter.abort();
    drop(outer);
    block_until("the end of the fetch", || source.running() == 0 && source.is_unused());
    block_until("the end of all tasks", || runtime.metrics().num_alive_tasks() == 0);
}

/// conf: M20, G78
#[test]
fn ten_thousand_tasks_on_two_threads_make_one_fetch() {
    let runtime = two_threads();
    let source = gated();
    let credentials = Credentials::from_source(source.clone());
    let arrived = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..10_000)
        .map(|_| {
            let (token, arrived) = (token_of(&credentials), Arc::clone(&arrived));
            runtime.spawn(async move {
                arrived.fetch_add(1, Ordering::SeqCst);
                token.await
            })
        })
        .collect();
    block_until("the arrival of all", || arrived.load(Ordering::SeqCst) == 10_000);
    source.release(1);
    for task in tasks {
        assert_eq!(runtime.block_on(task).unwrap().unwrap().secret(), "token-1");
    }
    assert_eq!(source.fetches(), 1);
}

/// conf: M12
#[test]
fn aborting_the_first_waiter_does_not_cancel_the_fetch() {
    let runtime = two_threads();
    let source = gated();
    let credentials = Credentials::from_source(source.clone());
    let leader = runtime.spawn(token_of(&credentials));
    block_until("the fetch", || source.running() == 1);
    leader.abort();
    assert!(runtime.block_on(leader).unwrap_err().is_cancelled());
    source.release(1);
    assert_eq!(runtime.block_on(credentials.token()).unwrap().secret(), "token-1");
    assert_eq!(source.fetches(), 1);
}

/// conf: G78, R2
#[test]
fn readers_on_many_threads_see_tokens_in_order_while_others_refresh() {
    let runtime = two_threads();
    let source = ScriptedSource::numbered().with_lifetime(HOUR);
    let credentials = Credentials::from_source(source.clone());
    runtime.block_on(credentials.token()).unwrap();
    let stop = AtomicBool::new(false);
    let number = |token: &Token| token.secret()["token-".len()..].parse::<usize>().unwrap();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                let mut last = 0;
                while !stop.load(Ordering::Relaxed) {
                    // A refresh never removes the token before there is a new one.
                    let seen = number(&credentials.cached().expect("a live token at all times"));
                    assert!(seen >= last, "token {seen} after {last}");
                    last = seen;
                }
            });
        }
        runtime.block_on(async {
            for expected in 2..500 {
                assert_eq!(number(&credentials.refresh().await.unwrap()), expected);
            }
        });
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(source.fetches(), 499);
}
