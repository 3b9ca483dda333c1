//! Sign-ins of people with a workforce pool: codes, and the refresh tokens that they lead to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;

use crate::emulator::error::{ApiError, OauthError};
use crate::emulator::iam::bounded_map::{BoundedMap, HeapBytes};
use crate::jwt;

/// How long a code is valid: 10 min.
const CODE_LIFETIME: Duration = Duration::from_secs(600);

/// A person who has signed in, and whose client doesn't have tokens yet.
#[derive(Clone, Debug)]
pub(crate) struct SignIn {
    pub(crate) session: Session,
    pub(crate) redirect_uri: String,
    /// The challenge of PKCE (RFC 7636), with the method `S256`.
    pub(crate) code_challenge: Option<String>,
}

/// What a refresh token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// The name of the external account.
    pub(crate) account: String,
    pub(crate) client_id: String,
    pub(crate) scopes: Arc<[String]>,
}

/// The sign-ins of people.
#[derive(Debug, Default)]
pub(crate) struct SignIns(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    codes: BoundedMap<String, PendingSignIn>,
    /// By their refresh tokens.
    sessions: BoundedMap<String, Session>,
}

#[derive(Debug)]
struct PendingSignIn {
    sign_in: SignIn,
    expires: SystemTime,
}

impl HeapBytes for Session {
    fn heap_bytes(&self) -> usize {
        self.account.heap_bytes() + self.client_id.heap_bytes() + self.scopes.heap_bytes()
    }
}

impl HeapBytes for PendingSignIn {
    fn heap_bytes(&self) -> usize {
        let SignIn { session, redirect_uri, code_challenge } = &self.sign_in;
        session.heap_bytes() + redirect_uri.heap_bytes() + code_challenge.as_ref().map_or(0, String::len)
    }
}

impl SignIns {
    /// Returns a code for a sign-in.
    pub(crate) fn code(&self, sign_in: SignIn, now: SystemTime) -> Result<String, ApiError> {
        let code = random("4/emulator-")?;
        let mut tables = self.lock();
        let pending = PendingSignIn { sign_in, expires: now + CODE_LIFETIME };
        tables.codes.insert(code.clone(), pending, |old| old.expires <= now);
        Ok(code)
    }

    /// Takes the sign-in of a code, which is valid once, and checks that its client redeems it.
    pub(crate) fn redeem(
        &self,
        code: &str,
        client_id: &str,
        redirect_uri: &str,
        code_verifier: &str,
        now: SystemTime,
    ) -> Result<Session, OauthError> {
        let found = self.lock().codes.remove(code).filter(|found| found.expires > now);
        let found = found.ok_or_else(|| OauthError::grant("The code is invalid, or has expired."))?;
        let sign_in = found.sign_in;
        if sign_in.session.client_id != client_id || sign_in.redirect_uri != redirect_uri {
            return Err(OauthError::grant(
                "The code was issued to another client, or for another redirect_uri.",
            ));
        }
        let challenge = jwt::encode(digest(&SHA256, code_verifier.as_bytes()).as_ref());
        if sign_in.code_challenge.is_some_and(|expected| expected != challenge) {
            return Err(OauthError::grant("The code_verifier doesn't match the code_challenge."));
        }
        Ok(sign_in.session)
    }

    /// Returns the refresh token of a session, if `is_usable` allows it, or a new one.
    pub(crate) fn usual_refresh_token(
        &self,
        session: Session,
        is_usable: impl Fn(&str) -> bool,
    ) -> Result<String, ApiError> {
        let known = {
            let tables = self.lock();
            let mut sessions = tables.sessions.iter();
            sessions
                .find(|(token, known)| **known == session && is_usable(token))
                .map(|(token, _)| token.clone())
        };
        known.map_or_else(|| self.new_refresh_token(session), Ok)
    }

    /// Returns a new refresh token for a session.
    pub(crate) fn new_refresh_token(&self, session: Session) -> Result<String, ApiError> {
        let mut tables = self.lock();
        let token = random("1//emulator-sts-")?;
        tables.sessions.insert(token.clone(), session, |_| false);
        Ok(token)
    }

    /// Returns the session of a refresh token.
    pub(crate) fn session(&self, refresh_token: &str) -> Option<Session> {
        self.lock().sessions.get(refresh_token).cloned()
    }

    /// Replaces a refresh token. Returns `None` if it has no session, because another request was faster.
    pub(crate) fn rotate(&self, refresh_token: &str) -> Result<Option<String>, ApiError> {
        let session = self.lock().sessions.remove(refresh_token);
        session.map(|session| self.new_refresh_token(session)).transpose()
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn random(prefix: &str) -> Result<String, ApiError> {
    let mut bytes = [0; 24];
    rand::fill(&mut bytes).map_err(|_| ApiError::internal("the emulator could not draw random bytes"))?;
    Ok(format!("{prefix}{}", jwt::encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(account: &str) -> Session {
        Session { account: account.to_owned(), client_id: "c".to_owned(), scopes: Arc::default() }
    }

    #[test]
    fn a_code_is_valid_once_and_for_a_time() {
        let (sign_ins, now) = (SignIns::default(), SystemTime::now());
        let sign_in =
            SignIn { session: session("a"), redirect_uri: "http://r".to_owned(), code_challenge: None };
        let redeem = |code: &str, now| sign_ins.redeem(code, "c", "http://r", "", now).is_ok();
        let code = sign_ins.code(sign_in.clone(), now).unwrap();
        assert!(redeem(&code, now) && !redeem(&code, now));
        let code = sign_ins.code(sign_in.clone(), now).unwrap();
        assert!(!redeem(&code, now + CODE_LIFETIME));
    }

    #[test]
    fn a_session_has_one_usual_refresh_token_until_it_is_replaced() {
        let sign_ins = SignIns::default();
        let first = sign_ins.new_refresh_token(session("first")).unwrap();
        assert_eq!(sign_ins.usual_refresh_token(session("first"), |_| true).unwrap(), first);
        assert_ne!(sign_ins.usual_refresh_token(session("first"), |_| false).unwrap(), first);
        assert_ne!(sign_ins.usual_refresh_token(session("second"), |_| true).unwrap(), first);
        assert_eq!(sign_ins.session(&first), Some(session("first")));
        let rotated = sign_ins.rotate(&first).unwrap().unwrap();
        assert_eq!(sign_ins.session(&first), None);
        assert_eq!(sign_ins.session(&rotated), Some(session("first")));
        assert_eq!(sign_ins.rotate(&first).unwrap(), None, "only one of two requests replaces it");
    }
}
