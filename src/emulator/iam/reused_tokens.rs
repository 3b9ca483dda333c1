//! Access tokens that are returned several times, as the metadata server does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::bounded_map::BoundedMap;
use crate::emulator::error::ApiError;

/// A principal and the scopes of its token.
type Key = (Arc<str>, Arc<[String]>);

/// An access token, and when it expires on the clock's timeline.
pub(crate) type IssuedToken = (String, SystemTime);

/// The latest token for each principal and set of scopes. Clients choose the scopes, so their number is limited.
#[derive(Default)]
pub(crate) struct ReusedTokens(Mutex<BoundedMap<Key, IssuedToken>>);

impl ReusedTokens {
    /// Returns the earlier token of the principal with these scopes, if more than `margin` of its
    /// life is left at `now`. Otherwise calls `issue` and keeps what it returns.
    pub(crate) fn get_or_issue(
        &self,
        principal: &Arc<str>,
        scopes: &Arc<[String]>,
        now: SystemTime,
        margin: Duration,
        issue: impl FnOnce() -> Result<IssuedToken, ApiError>,
    ) -> Result<IssuedToken, ApiError> {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Arc::clone(principal), Arc::clone(scopes));
        if let Some(token) = tokens.get(&key).filter(|(_, expires)| *expires > now + margin) {
            return Ok(token.clone());
        }
        let fresh = issue()?;
        tokens.insert(key, fresh.clone(), |(_, expires)| *expires <= now);
        Ok(fresh)
    }

    /// Forgets a token, so that it isn't returned again.
    pub(crate) fn forget(&self, token: &str) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, (issued, _)| issued != token);
    }

    /// Forgets all tokens.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
