//! A recorder that uses the credentials and the pool whose metrics it gets, as one that sends them with these credentials.

use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use gcp_iam_credentials::{Credentials, Error, ImpersonationPool, Token};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit,
};

use crate::recorder::Recorder;
use crate::support::runtime::one_paused_thread;
use crate::support::scripted_service::Script;

#[derive(Clone, Default)]
struct Program(Arc<OnceLock<(Credentials, ImpersonationPool)>>);

impl Program {
    /// Uses both in every way that needs a lock.
    fn use_both(&self) {
        if let Some((credentials, pool)) = self.0.get() {
            let _ = (credentials.status(), credentials.is_valid(), pool.stats());
            if let Some(token) = credentials.cached() {
                credentials.invalidate(&token);
            }
        }
    }
}

impl CounterFn for Program {
    fn increment(&self, _: u64) {
        self.use_both();
    }

    fn absolute(&self, _: u64) {
        self.use_both();
    }
}

impl GaugeFn for Program {
    fn increment(&self, _: f64) {
        self.use_both();
    }

    fn decrement(&self, _: f64) {
        self.use_both();
    }

    fn set(&self, _: f64) {
        self.use_both();
    }
}

impl HistogramFn for Program {
    fn record(&self, _: f64) {
        self.use_both();
    }
}

impl metrics::Recorder for Program {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        self.use_both();
        Counter::from_arc(Arc::new(self.clone()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        self.use_both();
        Gauge::from_arc(Arc::new(self.clone()))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        self.use_both();
        Histogram::from_arc(Arc::new(self.clone()))
    }
}

/// conf: A7
#[test]
fn a_recorder_may_use_the_credentials_and_the_pool() {
    // No other test counts hits at the same time.
    let _alone = Recorder::default();
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let program = Program::default();
        metrics::with_local_recorder(&program, || one_paused_thread().block_on(use_it(&program)));
        done.send(()).unwrap();
    });
    is_done.recv_timeout(Duration::from_secs(20)).expect("the crate calls the recorder under a lock");
}

async fn use_it(program: &Program) {
    let number = std::sync::atomic::AtomicUsize::new(0);
    let credentials = Credentials::from_fn(move || {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move {
            match number % 3 {
                0 => Err(Error::transient("out")),
                _ => Token::new(format!("token-{number}"), None),
            }
        }
    });
    let pool = ImpersonationPool::builder(Script::default().client()).capacity(2).build();
    assert!(program.0.set((credentials.clone(), pool.clone())).is_ok());
    for number in 0..20 {
        let _ = credentials.token().await;
        let _ = credentials.refresh().await;
        let acting = pool.impersonate(format!("customer-{number}@p.iam.gserviceaccount.com"));
        acting.access_token(["openid"]).unwrap().token().await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(credentials.status().failures() > 3 && pool.stats().evictions() == 18);
}
