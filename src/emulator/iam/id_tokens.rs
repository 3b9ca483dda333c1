//! ID tokens, which "Google" signs.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::jwt::{self, Parsed};
use super::key_ring::KeyRing;
use crate::emulator::clock::{Clock, unix};
use crate::emulator::error::ApiError;

/// The issuer in ID tokens.
pub(crate) const ISSUER: &str = "https://accounts.google.com";

/// How long an ID token is valid: 1 h.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Those claims of an ID token that differ from request to request.
#[derive(Debug)]
pub(crate) struct IdTokenClaims<'a> {
    pub(crate) audience: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) azp: &'a str,
    pub(crate) email: Option<&'a str>,
    /// The claim `google`.
    pub(crate) google: Option<Value>,
}

/// "Google", with the keys that sign ID tokens.
#[derive(Debug, Default)]
pub(crate) struct IdTokenIssuer {
    keys: Arc<KeyRing>,
}

impl IdTokenIssuer {
    pub(crate) fn keys(&self) -> &Arc<KeyRing> {
        &self.keys
    }

    /// Signs an ID token.
    pub(crate) async fn issue(
        &self,
        clock: &Clock,
        requested: &IdTokenClaims<'_>,
    ) -> Result<String, ApiError> {
        let now = clock.now();
        let mut claims = json!({
            "iss": ISSUER,
            "aud": requested.audience,
            "azp": requested.azp,
            "sub": requested.subject,
            "iat": unix(clock.shown(now)),
            "exp": unix(clock.shown(now + LIFETIME)),
        });
        if let Some(email) = requested.email {
            claims["email"] = email.into();
            claims["email_verified"] = true.into();
        }
        if let Some(google) = &requested.google {
            claims["google"] = google.clone();
        }
        self.keys.with_current(now, move |key| jwt::sign(key, &claims.to_string())).await
    }

    /// Returns the claims of `token` if it is an ID token of this issuer. It may have expired.
    pub(crate) fn verify(&self, token: &str) -> Option<Map<String, Value>> {
        let parsed = Parsed::from_token(token)?;
        self.keys.has_signed(&parsed).then_some(parsed.claims)
    }
}
