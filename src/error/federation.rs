//! Why the token service refuses a federated identity, and what to do about it.

mod advice;
mod description;
mod provider;
mod subject;

use std::time::SystemTime;

pub(crate) use self::description::ProviderDescription;
pub(crate) use self::provider::ProviderName;
pub(crate) use self::subject::SubjectFacts;

/// What advice contains in place of a subject that only the provider's mapping knows.
const UNKNOWN_SUBJECT: &str = "SUBJECT";

/// What commands contain in place of names that aren't known, each after the text before it.
pub(super) const PLACEHOLDERS: [(&str, &str); 2] =
    [("/subject/", UNKNOWN_SUBJECT), ("=assertion.", advice::CLAIM)];

/// A refused exchange, with everything that is known about it and that errors may show.
#[derive(Clone, Debug)]
pub(crate) struct FederationRefusal {
    pub(crate) cause: FederationCause,
    /// Whether the reply or the provider's description proves the cause.
    pub(crate) is_certain: bool,
    facts: FederationFacts,
}

/// What a program knows about its federated identity.
#[derive(Clone, Debug)]
pub(crate) struct FederationFacts {
    /// `None` if the file's audience isn't the name of a provider.
    pub(crate) provider: Option<ProviderName>,
    pub(crate) subject: SubjectFacts,
    /// The source of the subject token, such as `the file /var/run/token`.
    pub(crate) origin: String,
    /// The provider's configuration, if the program has it.
    pub(crate) description: Option<ProviderDescription>,
}

/// The reason why the token service refuses a subject token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FederationCause {
    /// The pool or the provider is disabled, deleted or absent, or too new.
    UnknownProvider,
    /// The provider accepts other audiences.
    WrongAudience,
    /// The provider expects another issuer.
    WrongIssuer,
    Expired,
    /// The token lives on, but was issued too long ago.
    Stale,
    NotYetValid,
    /// The service can't get the issuer's keys now.
    IssuerUnreachable,
    /// The provider knows no key that made the signature.
    WrongSignature,
    /// It isn't a token of the type that the file names.
    NotAToken,
    ConditionRefused,
    /// The mapped subject has more than 127 bytes.
    MappingTooLong,
    /// The mapping gives no subject.
    MappingFailed,
    WrongScope,
    /// Another reason, which the reply may name.
    Other,
}

impl FederationRefusal {
    /// Classifies a refusal by OAuth's `code`, then by the `text` of the reply, then by what is known
    /// about the token and the provider.
    pub(crate) fn new(code: &str, text: &str, facts: FederationFacts, now: SystemTime) -> Self {
        let named = FederationCause::named(code, text);
        let found = facts.contradiction(now);
        let (cause, is_certain) = match (named, found) {
            // The service says only that the token is too old.
            (Some(FederationCause::Stale), Some(FederationCause::Expired)) => {
                (FederationCause::Expired, true)
            }
            (Some(FederationCause::UnknownProvider), _) => {
                let is_proven = facts.description.as_ref().is_some_and(ProviderDescription::is_disabled);
                (FederationCause::UnknownProvider, is_proven)
            }
            (Some(cause), _) => (cause, true),
            (None, Some(cause)) if code == "invalid_grant" => (cause, false),
            (None, _) => (FederationCause::Other, false),
        };
        Self { cause, is_certain, facts }
    }

    /// What is known about the subject token, in one line.
    pub(crate) fn subject_token(&self, now: SystemTime) -> String {
        format!("from {}: {}", self.facts.origin, self.facts.subject.in_one_line(now))
    }
}

impl FederationCause {
    /// Returns the cause that a reply names, by the texts that the service is known to use.
    fn named(code: &str, text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let says = |parts: &[&str]| parts.iter().all(|part| text.contains(part));
        match code {
            "invalid_target" => Some(Self::UnknownProvider),
            "unauthorized_client" => Some(Self::ConditionRefused),
            "invalid_scope" => Some(Self::WrongScope),
            "invalid_request" if says(&["mapped attribute", "exceeds"]) => Some(Self::MappingTooLong),
            "invalid_request" if says(&["google.subject"]) => Some(Self::MappingFailed),
            _ if says(&["connecting", "issuer"]) => Some(Self::IssuerUnreachable),
            "invalid_grant" if says(&["not valid yet"]) || says(&["issued in the future"]) => {
                Some(Self::NotYetValid)
            }
            "invalid_grant" if says(&["stale"]) => Some(Self::Stale),
            "invalid_grant" if says(&["expired"]) => Some(Self::Expired),
            "invalid_grant" if says(&["audience", "not match"]) => Some(Self::WrongAudience),
            "invalid_grant" if says(&["issuer", "not match"]) => Some(Self::WrongIssuer),
            "invalid_grant" if says(&["signature"]) => Some(Self::WrongSignature),
            "invalid_grant" if says(&["not a valid jwt"]) => Some(Self::NotAToken),
            _ => None,
        }
    }
}

impl FederationFacts {
    /// Returns what is wrong with the token, as far as that can be seen here.
    fn contradiction(&self, now: SystemTime) -> Option<FederationCause> {
        let subject = &self.subject;
        if !subject.is_jwt() {
            return None;
        }
        if subject.has_expired(now) {
            return Some(FederationCause::Expired);
        }
        if subject.is_early(now) {
            return Some(FederationCause::NotYetValid);
        }
        let description = self.description.as_ref()?;
        if !description.expects_issuer(subject.issuer()) {
            return Some(FederationCause::WrongIssuer);
        }
        (!description.accepts(subject.audiences())).then_some(FederationCause::WrongAudience)
    }

    /// Returns the principal of the token in IAM policies, and whether that is certain: the provider's
    /// mapping decides.
    pub(crate) fn principal(&self) -> Option<(String, bool)> {
        let (provider, subject) = (self.provider.as_ref()?, self.subject.subject()?);
        match &self.description {
            None => Some((provider.principal(subject), false)),
            Some(description) if description.maps_sub_to_subject() => {
                Some((provider.principal(subject), true))
            }
            Some(_) => Some((provider.principal(UNKNOWN_SUBJECT), false)),
        }
    }
}

#[cfg(test)]
mod tests;
