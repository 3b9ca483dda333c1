//! Requests at random, which end in every way.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use gcp_iam_credentials::{Credentials, Error, Token};
use tokio::time::{sleep, timeout};

use crate::recorder::Recorder;
use crate::support::random::{Random, setting};
use crate::support::runtime::{ms, one_paused_thread};

const HITS: &str = "cache_hits_total";
const WAITS: &str = "cache_waits_total";

/// A source whose fetches take a while, fail, hang or panic.
fn source(random: &mut Random) -> Credentials {
    let seed = AtomicU64::new(random.next());
    Credentials::from_fn(move || {
        let mut random = Random::new(seed.fetch_add(1, Ordering::Relaxed));
        async move {
            sleep(random.millis(0..800)).await;
            match random.within(0..10) {
                0 => Err(Error::transient("out")),
                1 => Err(Error::permanent("refused")),
                2 => std::panic::resume_unwind(Box::new("a bug of the source")),
                3 => std::future::pending().await,
                _ => {
                    let life = Duration::from_secs(random.within(1..600));
                    Token::new(format!("token-{}", random.next()), std::time::SystemTime::now() + life)
                }
            }
        }
    })
}

/// How the requests for a token went on.
#[derive(Default)]
struct Tally {
    answered_at_once: AtomicU64,
    waited: AtomicU64,
}

impl Tally {
    /// Makes a request that the caller gives up after this time.
    async fn request<T>(
        &self,
        patience: Duration,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Option<T> {
        let mut request = pin!(request);
        let first = poll_fn(|context| Poll::Ready(request.as_mut().poll(context))).await;
        match first {
            Poll::Ready(Ok(answer)) => {
                self.answered_at_once.fetch_add(1, Ordering::Relaxed);
                Some(answer)
            }
            Poll::Ready(Err(_)) => None,
            Poll::Pending => {
                self.waited.fetch_add(1, Ordering::Relaxed);
                timeout(patience, request).await.ok()?.ok()
            }
        }
    }
}

/// One caller.
async fn caller(credentials: Credentials, mut random: Random, tally: Arc<Tally>) {
    for _ in 0..20 {
        sleep(random.millis(0..400)).await;
        let patience = if random.chance(0.3) { random.millis(1..300) } else { Duration::from_secs(600) };
        match random.within(0..6) {
            0 => {
                let cached = credentials.cached().is_some();
                tally.answered_at_once.fetch_add(cached.into(), Ordering::Relaxed);
                // It asks whether there is a token, and gets none.
                let _ = credentials.is_valid();
            }
            1 => {
                if let Some(token) = tally.request(patience, credentials.token()).await {
                    credentials.invalidate(&token);
                }
            }
            2 => drop(tally.request(patience, credentials.refresh()).await),
            3 => {
                let mut headers = http::HeaderMap::new();
                tally.request(patience, credentials.apply(&mut headers)).await;
            }
            _ => drop(tally.request(patience, credentials.token()).await),
        }
    }
}

/// conf: N2, N3
#[test]
fn every_request_is_a_hit_or_a_wait_and_gauges_return_to_zero() {
    let mut all = [0.0, 0.0];
    for seed in 0..setting("METRICS_WORLDS", 30) {
        let recorder = Recorder::default();
        let mut random = Random::new(seed);
        // The hits of the whole process so far.
        let before = recorder.run(one_paused_thread(), report_hits(&recorder));
        let tally = Arc::new(Tally::default());
        let after = recorder.run(one_paused_thread(), async {
            let credentials = source(&mut random);
            let callers: Vec<_> = (0..8)
                .map(|_| caller(credentials.clone(), Random::new(random.next()), Arc::clone(&tally)))
                .map(tokio::spawn)
                .collect();
            for caller in callers {
                caller.await.unwrap();
            }
            drop(credentials);
            sleep(ms(1)).await;
            report_hits(&recorder).await
        });
        // Reporting the hits takes a wait each time.
        let (hits, waits) = (after - before, recorder.value(WAITS) - 2.0);
        let expected =
            [&tally.answered_at_once, &tally.waited].map(|count| count.load(Ordering::Relaxed) as f64);
        assert_eq!([hits, waits], expected, "seed {seed}");
        all = [all[0] + hits, all[1] + waits];
        for gauge in ["cache_waiters", "fetches_in_progress"] {
            assert_eq!(recorder.value(gauge), 0.0, "seed {seed}: {gauge}");
        }
    }
    assert!(all.iter().all(|count| *count > 100.0), "{all:?}");
}

/// Makes a fetch, at whose end all hits are reported. Returns them.
async fn report_hits(recorder: &Recorder) -> f64 {
    Credentials::from_fn(|| async { Token::new("t", None) }).token().await.unwrap();
    recorder.value(HITS)
}
