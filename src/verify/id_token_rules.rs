//! Which ID tokens a program accepts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::id_token::IdToken;
use crate::Error;
use crate::error::shorten;

/// The issuer of Google's ID tokens, in both spellings.
const GOOGLE: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];

/// Which ID tokens to accept: for whom, by whom, when and of whom.
///
/// The audience must be given: a token for another service must not be accepted. By default, the
/// issuer must be Google.
///
/// ```
/// use gcp_iam_credentials::verify::IdTokenRules;
///
/// // A Cloud Run service that one account may call.
/// let rules = IdTokenRules::for_audience("https://my-service.run.app")
///     .email("caller@project.iam.gserviceaccount.com");
///
/// // What Identity-Aware Proxy puts into `x-goog-iap-jwt-assertion`.
/// let behind_iap = IdTokenRules::for_audience("/projects/123/apps/my-app")
///     .issuers(["https://cloud.google.com/iap"]);
/// # let _ = (rules, behind_iap);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct IdTokenRules {
    audiences: Vec<String>,
    issuers: Vec<String>,
    emails: Vec<String>,
    needs_verified_email: bool,
    leeway: Duration,
    time: Option<SystemTime>,
}

impl IdTokenRules {
    /// The default leeway: 30 s.
    pub const LEEWAY: Duration = Duration::from_secs(30);

    /// Accepts Google's tokens for this audience: the URL or the client id of this service.
    pub fn for_audience(audience: impl Into<String>) -> Self {
        Self {
            audiences: vec![audience.into()],
            issuers: GOOGLE.map(str::to_owned).to_vec(),
            emails: Vec::new(),
            needs_verified_email: false,
            leeway: Self::LEEWAY,
            time: None,
        }
    }

    /// Accepts tokens for this audience, too.
    pub fn or_audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Sets the issuers to accept. Default: Google, `https://accounts.google.com`, which old tokens
    /// name without `https://`.
    pub fn issuers(mut self, issuers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.issuers = issuers.into_iter().map(Into::into).collect();
        self
    }

    /// Accepts only tokens with this address, which the issuer must have verified. Several calls add
    /// up. Default: the address doesn't matter.
    ///
    /// A service account's token contains its address if it was requested with
    /// [`include_email`](crate::call::GenerateIdToken::include_email).
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.emails.push(email.into());
        self.needs_verified_email = true;
        self
    }

    /// Accepts only tokens with an address that the issuer has verified. Default: not needed.
    pub fn verified_email(mut self) -> Self {
        self.needs_verified_email = true;
        self
    }

    /// Sets how far the issuer's clock may be off: a token is accepted so long after its end, and so
    /// long before its beginning. Default: [`LEEWAY`](Self::LEEWAY).
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Checks tokens as of this time, in tests for example. Default: now.
    pub fn at(mut self, time: SystemTime) -> Self {
        self.time = Some(time);
        self
    }

    /// Checks the claims of a token whose signature is valid.
    pub(super) fn check(&self, claims: &Map<String, Value>) -> Result<IdToken, Error> {
        self.check_issuer(claims)?;
        self.check_audience(claims)?;
        let (issued_at, expires_at) = self.check_times(claims)?;
        let subject = text(claims, "sub").filter(|subject| !subject.is_empty());
        let subject = subject.ok_or_else(|| Error::invalid("sub", "must be a text, and not empty"))?;
        self.check_email(claims)?;
        Ok(IdToken::new(subject.to_owned(), issued_at, expires_at, claims.clone()))
    }

    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), Error> {
        match text(claims, "iss") {
            Some(issuer) if self.issuers.iter().any(|known| known == issuer) => Ok(()),
            other => Err(Error::invalid("iss", expectation(&self.issuers, other))),
        }
    }

    /// A token may be for several audiences.
    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Error> {
        let is_ours = |audience: &Value| {
            self.audiences.iter().any(|own| !own.is_empty() && audience.as_str() == Some(own))
        };
        let accepted = match claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().any(is_ours),
            Some(audience) => is_ours(audience),
            None => false,
        };
        match accepted {
            true => Ok(()),
            false => Err(Error::invalid("aud", expectation(&self.audiences, text(claims, "aud")))),
        }
    }

    fn check_times(&self, claims: &Map<String, Value>) -> Result<(SystemTime, SystemTime), Error> {
        let now = self.time.unwrap_or_else(SystemTime::now);
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let leeway = self.leeway.as_secs();
        let (issued_at, expires_at) = (seconds(claims, "iat")?, seconds(claims, "exp")?);
        if now >= expires_at.saturating_add(leeway) {
            let ago = now - expires_at;
            return Err(Error::invalid("exp", format!("must be in the future, got {ago} s ago")));
        }
        let not_before = if claims.contains_key("nbf") { seconds(claims, "nbf")? } else { 0 };
        for (claim, begin) in [("iat", issued_at), ("nbf", not_before)] {
            if begin > now.saturating_add(leeway) {
                let ahead = begin - now;
                return Err(Error::invalid(claim, format!("must not be in the future, got {ahead} s ahead")));
            }
        }
        let instant = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        match (instant(issued_at), instant(expires_at)) {
            (Some(issued_at), Some(expires_at)) => Ok((issued_at, expires_at)),
            _ => Err(Error::invalid("exp", "must be a time in whole seconds")),
        }
    }

    fn check_email(&self, claims: &Map<String, Value>) -> Result<(), Error> {
        if !self.needs_verified_email {
            return Ok(());
        }
        let email = text(claims, "email");
        if email.is_none_or(str::is_empty) {
            return Err(Error::invalid("email", "must be in the token")
                .fix_by("request the token with the e-mail: `include_email(true)`"));
        }
        if !self.emails.is_empty() && !self.emails.iter().any(|known| Some(known.as_str()) == email) {
            return Err(Error::invalid("email", expectation(&self.emails, email)));
        }
        match claims.get("email_verified") {
            Some(Value::Bool(true)) => Ok(()),
            _ => Err(Error::invalid("email_verified", "must be true")),
        }
    }
}

fn text<'a>(claims: &'a Map<String, Value>, claim: &str) -> Option<&'a str> {
    claims.get(claim)?.as_str()
}

fn seconds(claims: &Map<String, Value>, claim: &'static str) -> Result<u64, Error> {
    let seconds = claims.get(claim).and_then(Value::as_u64);
    seconds.ok_or_else(|| Error::invalid(claim, "must be a time in whole seconds"))
}

/// Says which values are accepted, and which one was received.
fn expectation(accepted: &[String], got: Option<&str>) -> String {
    let got = got.map_or_else(|| "none".to_owned(), |got| format!("{:?}", shorten(got)));
    match accepted {
        [only] => format!("must be {only:?}, got {got}"),
        _ => format!("must be one of {accepted:?}, got {got}"),
    }
}
