//! Security credentials of AWS, and the tokens of its metadata server (IMDSv2).

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

use crate::emulator::clock::unix;
use crate::emulator::error::ApiError;
use crate::emulator::fingerprint;
use crate::emulator::iam::bounded_map::{BoundedMap, HeapBytes};

/// How long credentials are valid: 6 h.
const LIFETIME: Duration = Duration::from_secs(6 * 3600);

/// The same credentials are returned until this much of their life is left: 5 min.
const RENEWAL_MARGIN: Duration = Duration::from_secs(300);

/// How long expired credentials stay known, so that they are refused as expired: 1 h.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Temporary security credentials of an external account.
#[derive(Clone)]
pub(crate) struct AwsCredentials {
    /// The name of the external account.
    pub(crate) account: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: String,
    pub(crate) issued: SystemTime,
    /// On the timeline of the clock.
    pub(crate) expires: SystemTime,
}

impl fmt::Debug for AwsCredentials {
    /// Leaves out the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredentials").field("account", &self.account).finish_non_exhaustive()
    }
}

impl HeapBytes for AwsCredentials {
    fn heap_bytes(&self) -> usize {
        let texts = [&self.account, &self.access_key_id, &self.secret_access_key, &self.session_token];
        texts.into_iter().map(HeapBytes::heap_bytes).sum()
    }
}

/// All credentials that the emulator has issued as AWS, and the key of its metadata server.
#[derive(Debug)]
pub(crate) struct AwsIssuer {
    by_access_key: Mutex<BoundedMap<String, AwsCredentials>>,
    session_key: hmac::Key,
}

impl Default for AwsIssuer {
    fn default() -> Self {
        // The tokens of the metadata server protect nothing, so a key that others know would do too.
        let mut key = [0; 32];
        let _ = rand::fill(&mut key);
        Self { by_access_key: Mutex::default(), session_key: hmac::Key::new(hmac::HMAC_SHA256, &key) }
    }
}

impl AwsIssuer {
    /// Returns the credentials with this access key, even if they have expired.
    pub(crate) fn find(&self, access_key_id: &str) -> Option<AwsCredentials> {
        self.lock().get(access_key_id).cloned()
    }

    /// Returns the credentials of an external account.
    pub(crate) fn credentials(&self, account: &str, now: SystemTime) -> Result<AwsCredentials, ApiError> {
        let mut table = self.lock();
        let usable =
            |found: &&AwsCredentials| found.account == account && found.expires > now + RENEWAL_MARGIN;
        if let Some(found) = table.iter().map(|(_, found)| found).find(usable) {
            return Ok(found.clone());
        }
        Ok(add(&mut table, fresh(account, now, now + LIFETIME)?, now))
    }

    /// Returns credentials of an external account that expired a moment ago.
    pub(crate) fn expired_credentials(
        &self,
        account: &str,
        now: SystemTime,
    ) -> Result<AwsCredentials, ApiError> {
        Ok(add(&mut self.lock(), fresh(account, now - LIFETIME, now)?, now))
    }

    /// Returns a token for requests to the metadata server of an external account.
    pub(crate) fn session_token(&self, account: &str, expires: SystemTime) -> String {
        let expires = unix(expires).to_string();
        let tag = hmac::sign(&self.session_key, session_text(account, &expires).as_bytes());
        format!("{expires}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
    }

    /// Returns whether a token of the metadata server is valid.
    pub(crate) fn is_session_token(&self, account: &str, token: &str, now: SystemTime) -> bool {
        let Some((expires, tag)) = token.split_once('.') else { return false };
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).unwrap_or_default();
        expires.parse().is_ok_and(|expires: i64| expires > unix(now))
            && hmac::verify(&self.session_key, session_text(account, expires).as_bytes(), &tag).is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, BoundedMap<String, AwsCredentials>> {
        self.by_access_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn session_text(account: &str, expires: &str) -> String {
    format!("{expires} {account}")
}

fn add(
    table: &mut BoundedMap<String, AwsCredentials>,
    credentials: AwsCredentials,
    now: SystemTime,
) -> AwsCredentials {
    table.retain(|_, old| old.expires + REMEMBERED > now);
    table.insert(credentials.access_key_id.clone(), credentials.clone(), |_| false);
    credentials
}

/// Returns new credentials, in the form of AWS's: a key of 20 characters and a secret of 40.
fn fresh(account: &str, issued: SystemTime, expires: SystemTime) -> Result<AwsCredentials, ApiError> {
    let mut random = [0; 90];
    rand::fill(&mut random).map_err(|_| ApiError::internal("the emulator could not draw random bytes"))?;
    let (key, rest) = random.split_at(8);
    let (secret, session) = rest.split_at(30);
    Ok(AwsCredentials {
        account: account.to_owned(),
        access_key_id: format!("ASIA{}", fingerprint::hex(key, 8).to_uppercase()),
        secret_access_key: BASE64_STANDARD.encode(secret),
        session_token: BASE64_STANDARD.encode(session),
        issued,
        expires,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_reused_until_shortly_before_their_end() {
        let (issuer, start) = (AwsIssuer::default(), SystemTime::now());
        let first = issuer.credentials("a", start).unwrap();
        assert_eq!((first.access_key_id.len(), first.secret_access_key.len()), (20, 40));
        assert_ne!(issuer.credentials("b", start).unwrap().access_key_id, first.access_key_id);
        let expired = issuer.expired_credentials("a", start).unwrap();
        assert!(expired.expires <= start);
        assert_eq!(issuer.credentials("a", start).unwrap().access_key_id, first.access_key_id);
        let late = first.expires - RENEWAL_MARGIN;
        assert_ne!(issuer.credentials("a", late).unwrap().access_key_id, first.access_key_id);
        issuer.expired_credentials("c", first.expires + REMEMBERED).unwrap();
        assert!(issuer.find(&first.access_key_id).is_none(), "the table is bounded");
        assert_eq!(issuer.lock().iter().count(), 2, "the one of the late request, and the last one");
        assert!(!format!("{first:?}").contains(&first.secret_access_key));
    }

    #[test]
    fn a_session_token_is_for_one_account_and_for_a_time() {
        let (issuer, now) = (AwsIssuer::default(), SystemTime::now());
        let token = issuer.session_token("a", now + Duration::from_secs(60));
        assert!(issuer.is_session_token("a", &token, now));
        assert!(!issuer.is_session_token("b", &token, now));
        assert!(!issuer.is_session_token("a", &token, now + Duration::from_secs(61)));
        let (_, tag) = token.split_once('.').unwrap();
        for forged in [format!("99999999999.{tag}"), "99999999999.".to_owned(), String::new()] {
            assert!(!issuer.is_session_token("a", &forged, now), "{forged}");
        }
    }
}
