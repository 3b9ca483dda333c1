//! Refresh tokens: those of users that the policy doesn't name, and what all of them have led to.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::bounded_map::{BoundedMap, HeapBytes};
use crate::emulator::fingerprint;

/// The users of the refresh tokens that the emulator made, and which tokens have been revoked.
#[derive(Default)]
pub(crate) struct RefreshTokens(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    users: BoundedMap<String, String>,
    revoked: BoundedMap<String, ()>,
    /// The access tokens that refresh tokens were exchanged for.
    issued: BoundedMap<String, Issued>,
}

struct Issued {
    refresh_token: String,
    expires: SystemTime,
}

impl HeapBytes for Issued {
    fn heap_bytes(&self) -> usize {
        self.refresh_token.heap_bytes()
    }
}

impl RefreshTokens {
    /// Returns a refresh token for `user`: the same one each time, until it is revoked.
    pub(crate) fn make(&self, user: &str) -> String {
        let mut tables = self.lock();
        // Not the user's unique id, which pages show.
        let first =
            format!("1//emulator-{}", fingerprint::hex(format!("refresh token of {user}").as_bytes(), 16));
        let later = (2_u64..).map(|number| format!("{first}-{number}"));
        let token =
            std::iter::once(first.clone()).chain(later).find(|token| !tables.revoked.contains_key(token));
        let token = token.unwrap_or(first);
        if !tables.users.contains_key(&token) {
            tables.users.insert(token.clone(), user.to_owned(), |_| false);
        }
        token
    }

    /// Returns the user of a refresh token that the emulator made. It may be revoked.
    pub(crate) fn user_of(&self, token: &str) -> Option<String> {
        self.lock().users.get(token).cloned()
    }

    pub(crate) fn is_revoked(&self, token: &str) -> bool {
        self.lock().revoked.contains_key(token)
    }

    /// Remembers that a refresh token was exchanged for an access token. Returns `false` if it has been revoked
    /// meanwhile.
    pub(crate) fn exchanged(
        &self,
        refresh_token: &str,
        access_token: &str,
        expires: SystemTime,
        now: SystemTime,
    ) -> bool {
        let mut tables = self.lock();
        if tables.revoked.contains_key(refresh_token) {
            return false;
        }
        let issued = Issued { refresh_token: refresh_token.to_owned(), expires };
        tables.issued.insert(access_token.to_owned(), issued, |issued| issued.expires <= now);
        true
    }

    /// Returns the refresh token that was exchanged for an access token.
    pub(crate) fn source_of(&self, access_token: &str) -> Option<String> {
        self.lock().issued.get(access_token).map(|issued| issued.refresh_token.clone())
    }

    /// Revokes a token, and returns the access tokens that it was exchanged for.
    pub(crate) fn revoke(&self, token: &str) -> Vec<String> {
        let mut tables = self.lock();
        tables.revoked.insert(token.to_owned(), (), |()| false);
        let of_token = |(access_token, issued): (&String, &Issued)| {
            (issued.refresh_token == token).then(|| access_token.clone())
        };
        tables.issued.iter().filter_map(of_token).collect()
    }

    /// Forgets what has been revoked.
    pub(crate) fn restore(&self) {
        let mut tables = self.lock();
        tables.revoked.clear();
        tables.issued.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revoked_token_is_replaced_by_another_one_and_takes_its_access_tokens_along() {
        let (tokens, now) = (RefreshTokens::default(), SystemTime::now());
        let first = tokens.make("a@example.com");
        assert_eq!(tokens.make("a@example.com"), first);
        let other = tokens.make("b@example.com");
        tokens.exchanged(&first, "access-1", now, now);
        tokens.exchanged(&other, "access-2", now, now);
        assert_eq!(tokens.source_of("access-1"), Some(first.clone()));
        assert_eq!(tokens.revoke(&first), ["access-1"]);
        assert!(!tokens.exchanged(&first, "access-3", now, now), "it was revoked meanwhile");
        assert!(tokens.is_revoked(&first) && !tokens.is_revoked(&other));
        let second = tokens.make("a@example.com");
        assert_ne!(second, first);
        assert_eq!(tokens.user_of(&second).as_deref(), Some("a@example.com"));
        tokens.restore();
        assert_eq!(tokens.make("a@example.com"), first);
    }
}
