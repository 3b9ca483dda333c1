//! Access tokens. They are opaque to clients; the emulator has a record of each.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::bounded_map::{BoundedMap, HeapBytes};
use super::federation::access_boundary::AccessBoundary;
use crate::emulator::error::ApiError;

/// The prefix of every access token. Google's have the same.
const PREFIX: &str = "ya29.";

/// The number of random bytes in a token. They are its key in the table.
const ENTROPY: usize = 24;

/// The number of tokens for which random bytes are drawn at once.
const DRAWN: usize = 128;

/// How long an expired token stays known, so that it is rejected as expired and not as unknown: 1 h.
const REMEMBERED: Duration = Duration::from_secs(3600);

const NO_RANDOM_BYTES: &str = "the emulator could not draw random bytes";

/// What the emulator knows about a token.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// `serviceAccount:…` or `user:…`
    pub(crate) principal: Arc<str>,
    pub(crate) scopes: Arc<[String]>,
    /// On the timeline of the clock.
    pub(crate) expires: SystemTime,
    /// What only tokens from the STS have.
    pub(crate) sts: Option<Arc<StsDetails>>,
}

/// What only tokens from the STS have.
#[derive(Debug)]
pub(crate) struct StsDetails {
    /// The sets by attribute and by group that include the principal: `principalSet://…`
    pub(crate) sets: Arc<[String]>,
    /// On the timeline of the clock.
    pub(crate) issued: SystemTime,
    /// The OAuth client that the token was issued to. Empty if there was none.
    pub(crate) client_id: String,
    /// What the token is limited to.
    pub(crate) boundary: Option<AccessBoundary>,
}

impl HeapBytes for Record {
    fn heap_bytes(&self) -> usize {
        self.principal.heap_bytes()
            + self.scopes.heap_bytes()
            + self.sts.as_ref().map_or(0, HeapBytes::heap_bytes)
    }
}

impl HeapBytes for Arc<StsDetails> {
    fn heap_bytes(&self) -> usize {
        size_of::<StsDetails>()
            + self.sets.heap_bytes()
            + self.client_id.heap_bytes()
            + self.boundary.as_ref().map_or(0, |boundary| boundary.to_json().len())
    }
}

/// The tokens that the emulator has issued.
#[derive(Default)]
pub(crate) struct AccessTokens(Mutex<Table>);

#[derive(Default)]
struct Table {
    records: BoundedMap<[u8; ENTROPY], Record>,
    fresh_keys: Vec<[u8; ENTROPY]>,
    /// The scopes of the newest token.
    last_scopes: Arc<[String]>,
}

impl AccessTokens {
    /// Returns a new token with this record.
    pub(crate) fn issue(&self, mut record: Record, now: SystemTime) -> Result<String, ApiError> {
        let key = self.fresh_key()?;
        let mut token = String::with_capacity(PREFIX.len() + 2 + ENTROPY * 4 / 3);
        token.push_str(PREFIX);
        token.push_str("c.");
        BASE64_URL_SAFE_NO_PAD.encode_string(key, &mut token);

        let mut table = self.lock();
        // Most tokens have the same scopes, so most records need no memory for their own.
        if table.last_scopes == record.scopes {
            record.scopes = Arc::clone(&table.last_scopes);
        } else {
            table.last_scopes = Arc::clone(&record.scopes);
        }
        table.records.insert(key, record, |record| record.expires + REMEMBERED <= now);
        Ok(token)
    }

    /// Draws random bytes for many tokens at once, because each draw has a fixed cost.
    fn fresh_key(&self) -> Result<[u8; ENTROPY], ApiError> {
        let mut table = self.lock();
        if let Some(key) = table.fresh_keys.pop() {
            return Ok(key);
        }
        let mut drawn = [0; ENTROPY * DRAWN];
        rand::fill(&mut drawn).map_err(|_| ApiError::internal(NO_RANDOM_BYTES))?;
        let (keys, _) = drawn.as_chunks::<ENTROPY>();
        table.fresh_keys.extend_from_slice(keys);
        table.fresh_keys.pop().ok_or_else(|| ApiError::internal(NO_RANDOM_BYTES))
    }

    /// Returns the record of `token`, even if it has expired.
    pub(crate) fn find(&self, token: &str) -> Option<Record> {
        self.lock().records.get(&key_of(token)?).cloned()
    }

    /// Ends a token that is live at `now`. Returns `false` if there is no such token.
    pub(crate) fn revoke(&self, token: &str, now: SystemTime) -> bool {
        let Some(key) = key_of(token) else { return false };
        match self.lock().records.get_mut(&key).filter(|record| record.expires > now) {
            Some(record) => {
                record.expires = now;
                true
            }
            None => false,
        }
    }

    /// Forgets the tokens of a principal.
    pub(crate) fn forget(&self, principal: &str) {
        self.lock().records.retain(|_, record| &*record.principal != principal);
    }

    /// Forgets all tokens.
    pub(crate) fn clear(&self) {
        *self.lock() = Table::default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the random bytes of a token.
fn key_of(token: &str) -> Option<[u8; ENTROPY]> {
    let text = token.strip_prefix(PREFIX)?.strip_prefix("c.")?;
    let mut key = [0; ENTROPY];
    let length = BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut key).ok()?;
    (length == ENTROPY).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(expires: SystemTime) -> Record {
        Record { principal: "serviceAccount:a@b.c".into(), scopes: Arc::default(), expires, sts: None }
    }

    #[test]
    fn a_token_finds_its_record_and_other_texts_find_none() {
        let (tokens, now) = (AccessTokens::default(), SystemTime::now());
        let token = tokens.issue(record(now), now).unwrap();
        assert_eq!(&*tokens.find(&token).unwrap().principal, "serviceAccount:a@b.c");
        for other in ["", "ya29.", "ya29.c.", "ya29.c.AAAA", &token[1..], &format!("{token}AAAA")] {
            assert!(tokens.find(other).is_none(), "{other}");
        }
        tokens.clear();
        assert!(tokens.find(&token).is_none());
    }

    /// conf: S10
    #[test]
    fn tokens_that_expired_long_ago_are_forgotten_and_then_the_oldest() {
        let (tokens, start) = (AccessTokens::default(), SystemTime::now());
        let wide = |expires| Record { scopes: vec!["s".repeat(1 << 20)].into(), ..record(expires) };
        let second = Duration::from_secs(1);
        let expired = tokens.issue(wide(start + second), start).unwrap();
        // A mebibyte each.
        let live: Vec<_> = (0..70)
            .map(|number| {
                let later = start + REMEMBERED + second * (2 + number);
                tokens.issue(wide(later + REMEMBERED), later).unwrap()
            })
            .collect();
        let kept = live.iter().filter(|token| tokens.find(token).is_some()).count();
        assert!((50..64).contains(&kept), "{kept} of 64 MiB");
        assert!(tokens.find(&expired).is_none());
        assert!(live[70 - kept..].iter().all(|token| tokens.find(token).is_some()), "the newest ones stay");
    }
}
