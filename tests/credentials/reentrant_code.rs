//! Code of the program that uses the same credentials while the cache calls it.

use std::sync::{Arc, OnceLock, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use std::{fmt, pin::pin, thread};

use gcp_iam_credentials::source::{BoxFuture, FetchRequest, SourceInfo};
use gcp_iam_credentials::{Credentials, Error, Token, TokenSource};
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::support::runtime::one_thread;
use crate::support::thread_subscriber;

/// The credentials that all code of this program uses.
#[derive(Clone, Default)]
struct Program(Arc<OnceLock<Credentials>>);

impl Program {
    /// Uses the credentials in every way that needs the cache's lock.
    fn use_credentials(&self) {
        if let Some(credentials) = self.0.get() {
            let _ = (credentials.status(), credentials.expires_at(), credentials.is_valid());
            if let Some(token) = credentials.cached() {
                credentials.invalidate(&token);
            }
        }
    }
}

/// A failure that uses the credentials when it is dropped.
struct Failure(Program);

impl Drop for Failure {
    fn drop(&mut self) {
        self.0.use_credentials();
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.use_credentials();
        f.write_str("failure")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Failure {}

/// Fails each second time.
struct Source(Program);

impl TokenSource for Source {
    fn fetch<'a>(&'a self, _request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        self.0.use_credentials();
        Box::pin(async {
            self.0.use_credentials();
            let number = self.0.0.get().unwrap().status().fetches();
            match number % 2 {
                0 => Err(Error::transient(Failure(self.0.clone()))),
                _ => Token::new(format!("token-{number}"), None),
            }
        })
    }

    fn info(&self) -> SourceInfo {
        self.0.use_credentials();
        SourceInfo::new()
    }
}

/// A subscriber that uses the credentials at each event and span.
struct Subscriber(Program);

impl<S: tracing::Subscriber> Layer<S> for Subscriber {
    fn on_event(&self, _: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        self.0.use_credentials();
    }

    fn on_enter(&self, _: &tracing::span::Id, _: tracing_subscriber::layer::Context<'_, S>) {
        self.0.use_credentials();
    }
}

impl Wake for Program {
    fn wake(self: Arc<Self>) {
        self.use_credentials();
    }
}

/// conf: A7
#[test]
fn code_that_the_cache_calls_may_use_the_same_credentials() {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let program = Program::default();
        let credentials = Credentials::from_source(Source(program.clone()));
        assert!(program.0.set(credentials.clone()).is_ok());
        let subscriber = tracing_subscriber::registry().with(Subscriber(program.clone()));
        let _logged = tracing::dispatcher::set_default(&thread_subscriber::dispatch(subscriber));
        one_thread().block_on(async {
            for _ in 0..20 {
                let waker = Waker::from(Arc::new(program.clone()));
                let _ = pin!(credentials.token()).poll(&mut Context::from_waker(&waker));
                let _ = credentials.refresh().await;
                let _ = format!("{credentials:?} {:?} {}", credentials.status(), credentials.explain());
            }
        });
        assert!(credentials.status().failures() > 5 && credentials.status().invalidations() > 5);
        done.send(()).unwrap();
    });
    is_done.recv_timeout(Duration::from_secs(20)).expect("the cache calls other code under its lock");
}
