//! A scripted source of tokens.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use gcp_iam_credentials::source::{BoxFuture, FetchRequest, SourceInfo};
use gcp_iam_credentials::{Credentials, Error, Token, TokenSource};
use tokio::sync::Semaphore;

/// What the source does with one fetch.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// Returns the token `token-N`, where N is the number of the fetch.
    Numbered,
    /// Returns this token.
    Token(Token),
    /// Fails with this error.
    Fail(Error),
    /// Never returns.
    Hang,
}

/// Has its outcomes in order, the last one for ever; without any, [`Outcome::Numbered`].
#[derive(Clone)]
pub(crate) struct ScriptedSource(Arc<Inner>);

struct Inner {
    outcomes: Mutex<VecDeque<Outcome>>,
    lifetime: Option<Duration>,
    info: SourceInfo,
    /// If there is one, each fetch waits for a permit.
    gate: Option<Semaphore>,
    fetches: AtomicUsize,
    running: AtomicUsize,
}

impl ScriptedSource {
    pub(crate) fn new(outcomes: impl IntoIterator<Item = Outcome>) -> Self {
        Self(Arc::new(Inner {
            outcomes: Mutex::new(outcomes.into_iter().collect()),
            lifetime: None,
            info: SourceInfo::new(),
            gate: None,
            fetches: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
        }))
    }

    /// Returns `token-1`, `token-2` and so on, which don't expire.
    pub(crate) fn numbered() -> Self {
        Self::new([])
    }

    /// Returns these tokens in order, the last one for ever.
    pub(crate) fn tokens<const N: usize>(secrets: [&str; N]) -> Self {
        Self::new(secrets.map(|secret| Outcome::Token(Token::new(secret, None).unwrap())))
    }

    /// Fails every fetch with this error.
    pub(crate) fn failing(error: Error) -> Self {
        Self::new([Outcome::Fail(error)])
    }

    /// Sets the lifetime of numbered tokens.
    pub(crate) fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.configure().lifetime = Some(lifetime);
        self
    }

    /// Sets what the source reports about itself.
    pub(crate) fn with_info(mut self, info: SourceInfo) -> Self {
        self.configure().info = info;
        self
    }

    /// Makes each fetch wait until [`release`](Self::release) lets it go on.
    pub(crate) fn gated(mut self) -> Self {
        self.configure().gate = Some(Semaphore::new(0));
        self
    }

    fn configure(&mut self) -> &mut Inner {
        Arc::get_mut(&mut self.0).expect("a source is configured before it is shared")
    }

    /// Lets this many fetches go on, now or later.
    pub(crate) fn release(&self, fetches: usize) {
        self.0.gate.as_ref().expect("only a gated source has fetches to release").add_permits(fetches);
    }

    /// Replaces the outcomes that are left by this one.
    pub(crate) fn set(&self, outcome: Outcome) {
        *self.0.outcomes.lock().unwrap() = VecDeque::from([outcome]);
    }

    /// Returns new credentials over this source.
    pub(crate) fn credentials(&self) -> Credentials {
        Credentials::from_source(self.clone())
    }

    /// Returns how many fetches began.
    pub(crate) fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::SeqCst)
    }

    /// Returns how many fetches are in progress.
    pub(crate) fn running(&self) -> usize {
        self.0.running.load(Ordering::SeqCst)
    }

    /// Returns whether no credentials hold the source.
    pub(crate) fn is_unused(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Inner {
    fn next(&self) -> Outcome {
        let mut outcomes = self.outcomes.lock().unwrap();
        let next = if outcomes.len() > 1 { outcomes.pop_front() } else { outcomes.front().cloned() };
        next.unwrap_or(Outcome::Numbered)
    }

    async fn fetch(&self) -> Result<Token, Error> {
        let number = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
        let outcome = self.next();
        self.running.fetch_add(1, Ordering::SeqCst);
        let _running = Running(&self.running);
        if let Some(gate) = &self.gate {
            gate.acquire().await.map_err(Error::permanent)?.forget();
        }
        match outcome {
            Outcome::Numbered => {
                let expires_at = self.lifetime.map(|lifetime| SystemTime::now() + lifetime);
                Token::new(format!("token-{number}"), expires_at)
            }
            Outcome::Token(token) => Ok(token),
            Outcome::Fail(error) => Err(error),
            Outcome::Hang => std::future::pending().await,
        }
    }
}

struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl TokenSource for ScriptedSource {
    fn fetch<'a>(&'a self, _: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(self.0.fetch())
    }

    fn info(&self) -> SourceInfo {
        self.0.info.clone()
    }
}
