//! The refresh tokens of the users that the policy doesn't name.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::account::unique_id_of;

/// The users of the refresh tokens that the emulator made.
#[derive(Default)]
pub(crate) struct RefreshTokens(Mutex<HashMap<String, String>>);

impl RefreshTokens {
    /// Returns a refresh token for `user`: the same one each time.
    pub(crate) fn make(&self, user: &str) -> String {
        let token = format!("1//emulator-{}", unique_id_of(user));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), user.to_owned());
        token
    }

    /// Returns the user of a refresh token.
    pub(crate) fn user_of(&self, token: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }
}
