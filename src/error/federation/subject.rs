//! What errors may show of a subject token: a few of its claims, each of limited length.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::error::shorten;

/// How many audiences are shown.
const MAX_AUDIENCES: usize = 4;

/// The issuer's clock may be ahead by this much.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// A few claims of a JWT, unverified. All are absent if the token isn't a JWT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SubjectFacts {
    is_jwt: bool,
    issuer: Option<String>,
    audiences: Vec<String>,
    subject: Option<String>,
    issued_at: Option<SystemTime>,
    not_before: Option<SystemTime>,
    expires_at: Option<SystemTime>,
}

impl SubjectFacts {
    /// Takes what is shown out of the claims of a JWT. `None` is a token that isn't a JWT.
    pub(crate) fn of(claims: Option<&Map<String, Value>>) -> Self {
        let Some(claims) = claims else { return Self::default() };
        let text = |name: &str| claims.get(name)?.as_str().map(str::to_owned);
        let time = |name: &str| {
            let seconds = Duration::try_from_secs_f64(claims.get(name)?.as_f64()?).ok()?;
            UNIX_EPOCH.checked_add(seconds)
        };
        let audiences = match claims.get("aud") {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        Self {
            is_jwt: true,
            issuer: text("iss"),
            audiences,
            subject: text("sub"),
            issued_at: time("iat"),
            not_before: time("nbf"),
            expires_at: time("exp"),
        }
    }

    pub(super) fn is_jwt(&self) -> bool {
        self.is_jwt
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    pub(super) fn audiences(&self) -> &[String] {
        &self.audiences
    }

    pub(super) fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    pub(super) fn has_expired(&self, now: SystemTime) -> bool {
        self.expires_at.is_some_and(|expiry| expiry <= now)
    }

    /// Whether the token becomes valid only later, by this machine's clock.
    pub(super) fn is_early(&self, now: SystemTime) -> bool {
        let starts = self.issued_at.into_iter().chain(self.not_before).max();
        starts.is_some_and(|start| start > now + CLOCK_SKEW)
    }

    /// Returns the facts for people.
    pub(super) fn in_one_line(&self, now: SystemTime) -> String {
        if !self.is_jwt {
            return "not a JWT, so nothing is known about it".to_owned();
        }
        let shown = |value: Option<&str>| value.map_or_else(|| "none".to_owned(), shorten);
        format!(
            "issuer {}, audience [{}], subject {}, issued {}, expires {}",
            shown(self.issuer()),
            self.shown_audiences(),
            shown(self.subject()),
            relative(self.issued_at, now),
            relative(self.expires_at, now),
        )
    }

    /// Returns the first few audiences.
    pub(super) fn shown_audiences(&self) -> String {
        let audiences = self.audiences.iter().take(MAX_AUDIENCES).map(|audience| shorten(audience));
        let left_out = (self.audiences.len() > MAX_AUDIENCES).then(|| "…".to_owned());
        audiences.chain(left_out).collect::<Vec<_>>().join(", ")
    }

    /// Returns how long ago the token expired or was issued.
    pub(super) fn age(&self, now: SystemTime) -> String {
        match self.has_expired(now) {
            true => format!("it expired {}", relative(self.expires_at, now)),
            false => format!("it was issued {}", relative(self.issued_at, now)),
        }
    }
}

fn relative(time: Option<SystemTime>, now: SystemTime) -> String {
    let Some(time) = time else { return "never, as far as it says".to_owned() };
    match time.duration_since(now) {
        Ok(left) => format!("in {} s", left.as_secs()),
        Err(past) => format!("{} s ago", past.duration().as_secs()),
    }
}
