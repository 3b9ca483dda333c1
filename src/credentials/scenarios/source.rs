//! A source that a scenario controls.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use crate::source::{BoxFuture, CacheHints, FetchReason, FetchRequest, SourceInfo};
use crate::{Error, Token, TokenSource};

/// What the source does when it is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// A new token with this life, by the issuer's clock.
    Lives(Duration),
    /// A new token without expiry.
    ForEver,
    /// The token that it returned last.
    Same,
    /// The same, after this time.
    SameAfter(Duration),
    /// The secret that it returned last, with this life from now on.
    Extends(Duration),
    /// A token that expired a second ago.
    Expired,
    /// A transient failure.
    Transient,
    /// A permanent failure.
    Permanent,
    /// No answer, ever.
    Hang,
    Panic,
    /// A new token with a life of an hour, after this time.
    After(Duration),
    /// A transient failure, after this time.
    FailAfter(Duration),
}

#[derive(Clone)]
pub(super) struct Script(Arc<Mutex<Inner>>);

struct Inner {
    answer: Answer,
    hints: CacheHints,
    epoch: (SystemTime, Instant),
    asked: Vec<(FetchReason, Option<String>)>,
    given: u32,
    last: Option<Token>,
    revision: u64,
}

impl Script {
    /// A source whose issuer's clock shows `wall` now.
    pub(super) fn new(wall: SystemTime, hints: CacheHints) -> Self {
        let epoch = (wall, Instant::now());
        let answer = Answer::Lives(Duration::from_secs(3600));
        let (asked, given, last, revision) = Default::default();
        Self(Arc::new(Mutex::new(Inner { answer, hints, epoch, asked, given, last, revision })))
    }

    pub(super) fn set(&self, answer: Answer) {
        self.0.lock().unwrap().answer = answer;
    }

    /// Replaces what the source authenticates with.
    pub(super) fn replace(&self) {
        self.0.lock().unwrap().revision += 1;
    }

    /// How often it was asked for a token.
    pub(super) fn fetches(&self) -> usize {
        self.0.lock().unwrap().asked.len()
    }

    /// The reason of the last fetch, and the token that was rejected before it.
    pub(super) fn last_asked(&self) -> (FetchReason, Option<String>) {
        self.0.lock().unwrap().asked.last().cloned().expect("never asked")
    }

    pub(super) fn last_given(&self) -> Token {
        self.0.lock().unwrap().last.clone().expect("nothing given")
    }

    /// The issuer's clock.
    pub(super) fn wall(&self) -> SystemTime {
        self.0.lock().unwrap().wall()
    }

    /// How many others hold the source: the cache, and a fetch in progress.
    pub(super) fn holders(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

impl Inner {
    fn wall(&self) -> SystemTime {
        self.epoch.0 + self.epoch.1.elapsed()
    }

    /// The tokens are called t1, t2 and so on.
    fn give(&mut self, expires_at: Option<SystemTime>) -> Result<Token, Error> {
        self.given += 1;
        let token = Token::new(format!("t{}", self.given), expires_at)?;
        self.last = Some(token.clone());
        Ok(token)
    }

    fn extend(&mut self, expires_at: SystemTime) -> Result<Token, Error> {
        let token = Token::new(self.last.as_ref().expect("nothing given yet").secret(), expires_at)?;
        self.last = Some(token.clone());
        Ok(token)
    }
}

const HOUR: Duration = Duration::from_secs(3600);

impl TokenSource for Script {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        let answer = {
            let mut inner = self.0.lock().unwrap();
            let rejected = request.rejected().map(|token| token.secret().to_owned());
            inner.asked.push((request.reason(), rejected));
            inner.answer
        };
        Box::pin(async move {
            match answer {
                Answer::After(wait) | Answer::FailAfter(wait) | Answer::SameAfter(wait) => sleep(wait).await,
                Answer::Hang => std::future::pending().await,
                Answer::Panic => panic!("the scripted source panics"),
                _ => {}
            }
            let mut inner = self.0.lock().unwrap();
            let now = inner.wall();
            match answer {
                Answer::Lives(life) => inner.give(Some(now + life)),
                Answer::After(_) => inner.give(Some(now + HOUR)),
                Answer::ForEver => inner.give(None),
                Answer::Expired => inner.give(Some(now - Duration::from_secs(1))),
                Answer::Extends(life) => inner.extend(now + life),
                Answer::Same | Answer::SameAfter(_) => Ok(inner.last.clone().expect("nothing given yet")),
                Answer::Permanent => Err(Error::permanent("the scripted source refuses")),
                _ => Err(Error::transient("the scripted source is unavailable")),
            }
        })
    }

    fn info(&self) -> SourceInfo {
        SourceInfo::new().with_principal("scripted@example.com")
    }

    fn cache_hints(&self) -> CacheHints {
        self.0.lock().unwrap().hints
    }

    fn revision(&self) -> u64 {
        self.0.lock().unwrap().revision
    }
}
