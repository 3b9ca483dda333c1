//! The callers of a world. Each tells the ledger what it asks and what it gets.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::ledger::{Ask, number_of};
use super::source::Shared;
use super::world::{Api, Client};
use crate::credentials::{SentToken, invalidate_sent};
use crate::{Credentials, Error, Token};

/// A program that uses the cache.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) credentials: Credentials,
    pub(super) outside: Shared,
}

/// A caller that waits, and may be dropped.
struct Waiting<'a> {
    outside: &'a Shared,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.outside.lock().ledger.leaves(self.id);
    }
}

impl Program {
    pub(super) async fn ask(self, deadline: Option<Duration>) -> Result<Token, Error> {
        let waiting = self.begin(Ask::Token, deadline);
        let outcome = match deadline {
            Some(time) => self.credentials.token_within(Instant::now() + time).await,
            None => self.credentials.token().await,
        };
        waiting.end(outcome)
    }

    pub(super) async fn ask_for_retry(self, time: Duration) -> Result<Token, Error> {
        let waiting = self.begin(Ask::TokenForRetry, Some(time));
        waiting.end(self.credentials.token_for_retry_within(Instant::now() + time).await)
    }

    pub(super) async fn refresh(self) {
        let waiting = self.begin(Ask::Refresh, None);
        let _ = waiting.end(self.credentials.refresh().await);
    }

    pub(super) fn intercept(&self) -> Result<Token, Error> {
        let waiting = self.begin(Ask::Now, Some(Duration::ZERO));
        let fast = self.credentials.poll_fast();
        waiting.end(fast.map_or_else(|| self.credentials.token_without_waiting(), Ok))
    }

    /// Asks each second, and doesn't wait for the answer before it asks again.
    pub(super) async fn ask_each_second(self, times: u8) {
        let mut callers = JoinSet::new();
        for _ in 0..times {
            callers.spawn(self.clone().ask(None));
            sleep(Duration::from_secs(1)).await;
        }
        callers.join_all().await;
    }

    /// Sends a request with a token. Returns whether the API accepted it.
    pub(super) async fn call(self, client: Client, api: Api, travel: Duration) -> bool {
        match client {
            Client::Layer => self.call_like_the_layer(api, travel).await,
            Client::Repeating => self.call_and_repeat(api, travel).await,
            Client::Interceptor => {
                let Ok(token) = self.intercept() else { return false };
                let is_accepted = self.send(&token, api, travel).await;
                if !is_accepted {
                    self.reject(&token);
                }
                is_accepted
            }
        }
    }

    async fn call_like_the_layer(self, api: Api, travel: Duration) -> bool {
        let mut shown = None;
        let generation = self.credentials.show_fresh(|token| shown = Some(token.clone()));
        let token = match shown {
            Some(token) => token,
            None => match self.clone().ask(None).await {
                Ok(token) => token,
                Err(_) => return false,
            },
        };
        let is_accepted = self.send(&token, api, travel).await;
        match generation {
            _ if is_accepted => {}
            Some(generation) => {
                self.outside.lock().ledger.rejects(&token);
                let sent = SentToken::Generation(generation);
                invalidate_sent(self.credentials.number(), &sent);
            }
            None => self.reject(&token),
        }
        is_accepted
    }

    async fn call_and_repeat(self, api: Api, travel: Duration) -> bool {
        let Ok(token) = self.clone().ask(None).await else { return false };
        if self.send(&token, api, travel).await {
            return true;
        }
        self.outside.lock().ledger.rejects(&token);
        let time = Duration::from_secs(20);
        let waiting = self.begin(Ask::OtherThan(number_of(&token)), Some(time));
        let outcome = self.credentials.token_instead_of(&token, Instant::now() + time).await;
        match waiting.end_of_other(outcome) {
            Ok(Some(other)) => self.send(&other, api, travel).await,
            _ => false,
        }
    }

    async fn send(&self, token: &Token, api: Api, travel: Duration) -> bool {
        if !travel.is_zero() {
            sleep(travel).await;
        }
        self.outside.lock().accepts(token, api)
    }

    fn reject(&self, token: &Token) {
        self.outside.lock().ledger.rejects(token);
        self.credentials.invalidate(token);
    }

    fn begin(&self, ask: Ask, deadline: Option<Duration>) -> Waiting<'_> {
        let mut outside = self.outside.lock();
        let is_stuck = outside.is_elsewhere();
        let id = outside.ledger.asks(ask, deadline, is_stuck);
        drop(outside);
        Waiting { outside: &self.outside, id }
    }
}

impl Waiting<'_> {
    fn end(self, outcome: Result<Token, Error>) -> Result<Token, Error> {
        let token = self.end_of_other(outcome.map(Some))?;
        token.ok_or_else(|| Error::transient("no token"))
    }

    fn end_of_other(self, outcome: Result<Option<Token>, Error>) -> Result<Option<Token>, Error> {
        self.outside.lock().ledger.gets(self.id, &outcome);
        outcome
    }
}
