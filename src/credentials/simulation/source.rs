//! The source and the APIs of a world.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::runtime::{Handle, Id};
use tokio::time::sleep;

use super::fetches::FailureKind;
use super::ledger::{Ledger, number_of};
use super::world::{Answer, Api};
use crate::source::{BoxFuture, CacheHints, FetchRequest};
use crate::{Error, Token, TokenSource};

/// The text of the source's errors, before the revision of the source that has no token.
pub(super) const REVISION: &str = "no token of revision ";

/// Everything around the cache: what happens to it, and what it promises.
pub(super) struct Outside {
    pub(super) ledger: Ledger,
    hints: CacheHints,
    pub(super) answer: Answer,
    pub(super) latency: Duration,
    /// How many tokens there are. They are called t1, t2 and so on.
    issued: u32,
    /// When they end, by the issuer's clock.
    ends: HashMap<u32, Option<SystemTime>>,
    /// Tokens up to this number are good no longer.
    pub(super) revoked: u32,
    pub(super) reject_next: u32,
    pub(super) reject_all: bool,
    /// The runtime that goes on.
    pub(super) lasting: Option<Id>,
}

/// A handle on the outside. The cache holds one as its source.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Outside>>);

impl Shared {
    pub(super) fn new(hints: CacheHints, jitter: f64) -> Self {
        Self(Arc::new(Mutex::new(Outside {
            ledger: Ledger::new(hints, jitter),
            hints,
            answer: Answer::New(Duration::from_secs(3600)),
            latency: Duration::ZERO,
            issued: 0,
            ends: HashMap::new(),
            revoked: 0,
            reject_next: 0,
            reject_all: false,
            lasting: None,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Outside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many others hold the outside: caches, fetches and callers.
    pub(super) fn holders(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

impl Outside {
    /// Whether an API accepts a token.
    pub(super) fn accepts(&mut self, token: &Token, api: Api) -> bool {
        let number = number_of(token);
        let has_ended = self.ends[&number].is_some_and(|end| end <= self.ledger.clocks.issuer());
        let is_next = self.reject_next > 0;
        self.reject_next = self.reject_next.saturating_sub(1);
        !(has_ended || is_next || number <= self.revoked || self.reject_all || api == Api::Picky)
    }

    /// Whether the caller of this runs on a runtime that doesn't go on.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.lasting.is_some_and(|lasting| lasting != Handle::current().id())
    }

    pub(super) fn revoke_all(&mut self) {
        self.revoked = self.issued;
    }

    fn issue(&mut self, answer: Answer) -> Result<(u32, Option<SystemTime>), FailureKind> {
        let now = self.ledger.clocks.issuer();
        match answer {
            Answer::New(life) => Ok(self.issue_new(Some(now + life))),
            Answer::NewWithoutExpiry => Ok(self.issue_new(None)),
            Answer::Expired => Ok(self.issue_new(Some(now - Duration::from_secs(1)))),
            Answer::Same | Answer::Extended(_) if self.issued == 0 => {
                Ok(self.issue_new(Some(now + Duration::from_secs(60))))
            }
            Answer::Same => Ok((self.issued, self.ends[&self.issued])),
            Answer::Extended(life) => {
                self.ends.insert(self.issued, Some(now + life));
                Ok((self.issued, Some(now + life)))
            }
            Answer::PermanentError => Err(FailureKind::Permanent),
            Answer::TransientError | Answer::Hang | Answer::Panic => Err(FailureKind::Transient),
        }
    }

    fn issue_new(&mut self, end: Option<SystemTime>) -> (u32, Option<SystemTime>) {
        self.issued += 1;
        self.ends.insert(self.issued, end);
        (self.issued, end)
    }
}

/// A fetch in progress, which may be dropped.
struct Running {
    outside: Shared,
    id: u64,
    /// The source's revision when the fetch began.
    revision: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.outside.lock().ledger.fetch_dropped(self.id);
    }
}

impl TokenSource for Shared {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        let mut outside = self.lock();
        let is_stuck = outside.is_elsewhere();
        let id = outside.ledger.fetch_begins(request.rejected().is_some(), is_stuck);
        let (answer, latency, revision) = (outside.answer, outside.latency, outside.ledger.revision);
        drop(outside);
        let running = Running { outside: self.clone(), id, revision };
        Box::pin(async move { running.answer(answer, latency).await })
    }

    fn cache_hints(&self) -> CacheHints {
        self.lock().hints
    }

    fn revision(&self) -> u64 {
        self.lock().ledger.revision
    }
}

impl Running {
    async fn answer(self, answer: Answer, latency: Duration) -> Result<Token, Error> {
        if !latency.is_zero() {
            sleep(latency).await;
        }
        if answer == Answer::Hang {
            std::future::pending::<()>().await;
        }
        let mut outside = self.outside.lock();
        if answer == Answer::Panic {
            outside.ledger.fetch_fails(self.id, FailureKind::Panic);
            drop(outside);
            // A panic that prints nothing.
            std::panic::resume_unwind(Box::new("the source panics"));
        }
        match outside.issue(answer) {
            Ok((number, end)) => {
                outside.ledger.fetch_returns(self.id, number, end);
                Token::new(format!("t{number}"), end)
            }
            Err(kind) => {
                outside.ledger.fetch_fails(self.id, kind);
                let make = if kind == FailureKind::Permanent { Error::permanent } else { Error::transient };
                Err(make(format!("{REVISION}{}", self.revision)))
            }
        }
    }
}
