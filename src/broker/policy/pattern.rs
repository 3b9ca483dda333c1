//! Patterns of names: a name, or one with a `*` that stands for a part of it.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::ServiceAccountName;

/// Text, or text before and after a part that may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    before: Box<str>,
    /// `None` if the whole text is `before`.
    after: Option<Box<str>>,
}

impl Pattern {
    fn new(text: &str) -> Result<Self, &'static str> {
        match text.split_once('*') {
            None => Ok(Self { before: text.into(), after: None }),
            Some((_, after)) if after.contains('*') => Err("must have at most one `*`"),
            Some((before, after)) => Ok(Self { before: before.into(), after: Some(after.into()) }),
        }
    }

    /// Returns whether `text` is the pattern, with at least one byte in place of the `*`, all of which `may_differ`
    /// lets stand there.
    fn matches(&self, text: &str, may_differ: impl Fn(u8) -> bool) -> bool {
        let Some(after) = &self.after else { return *text == *self.before };
        let part = text.strip_prefix(&*self.before).and_then(|rest| rest.strip_suffix(&**after));
        part.is_some_and(|part| !part.is_empty() && part.bytes().all(may_differ))
    }
}

/// The identity in a certificate: `spiffe://example.org/ns/shop/sa/web`, or all below a path of it:
/// `spiffe://example.org/ns/shop/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PrincipalPattern(Pattern);

impl PrincipalPattern {
    const SCHEME: &str = "spiffe://";

    fn new(text: &str) -> Result<Self, &'static str> {
        let pattern = Pattern::new(text)?;
        let Some(after) = &pattern.after else {
            return match text.is_empty() {
                false => Ok(Self(pattern)),
                true => Err("must be an identity, such as `spiffe://example.org/ns/shop/sa/web`"),
            };
        };
        let path = pattern.before.strip_prefix(Self::SCHEME).and_then(|rest| rest.split_once('/'));
        let is_below_domain = path.is_some_and(|(domain, _)| !domain.is_empty());
        match is_below_domain && after.is_empty() && pattern.before.ends_with('/') {
            true => Ok(Self(pattern)),
            false => {
                Err("a `*` must be the last part of a SPIFFE id, as in `spiffe://example.org/ns/shop/*`")
            }
        }
    }

    pub(super) fn matches(&self, principal: &str) -> bool {
        self.0.matches(principal, |_| true)
    }
}

/// The e-mail address or the unique id of an account, or a pattern of e-mail addresses:
/// `customer-*@my-project.iam.gserviceaccount.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TargetPattern(Pattern);

impl TargetPattern {
    fn new(text: &str) -> Result<Self, String> {
        let pattern = Pattern::new(text)?;
        if pattern.after.as_ref().is_some_and(|after| !after.contains('@')) {
            return Err("a `*` must stand before the `@`, for a part of an account's name".to_owned());
        }
        // The shortest name that the pattern can match.
        let shortest = text.replace('*', "a");
        match ServiceAccountName::parse_field(&shortest, "target") {
            Ok(name) if name.account() == shortest => Ok(Self(pattern)),
            _ => Err(format!("must be the e-mail address or the unique id of an account, got {text:?}")),
        }
    }

    /// Returns the account if it is the only one.
    pub(super) fn sole(&self) -> Option<&str> {
        self.0.after.is_none().then_some(&*self.0.before)
    }

    pub(super) fn matches(&self, account: &str) -> bool {
        self.0.matches(account, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
}

/// The audience of ID tokens, or all below a domain: `https://*.run.app`; or any: `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AudiencePattern(Pattern);

impl AudiencePattern {
    const ANY: &str = "*";

    fn new(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("must be an audience, such as `https://service.run.app`");
        }
        let pattern = Pattern::new(text)?;
        let Some(after) = pattern.after.as_deref().filter(|_| text != Self::ANY) else {
            return Ok(Self(pattern));
        };
        let has_domain = after.strip_prefix('.').is_some_and(|domain| domain.contains('.'));
        match pattern.before.ends_with("://") && has_domain {
            true => Ok(Self(pattern)),
            false => Err("a `*` must stand for the first part of a URL's host, as in `https://*.run.app`"),
        }
    }

    pub(super) fn matches(&self, audience: &str) -> bool {
        let is_any = self.0.before.is_empty();
        self.0.matches(audience, |b| is_any || b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
    }
}

/// Lets a pattern be read from a document.
macro_rules! read_from_text {
    ($pattern:ty) => {
        impl<'de> Deserialize<'de> for $pattern {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(&String::deserialize(deserializer)?).map_err(D::Error::custom)
            }
        }
    };
}

read_from_text!(PrincipalPattern);
read_from_text!(TargetPattern);
read_from_text!(AudiencePattern);
