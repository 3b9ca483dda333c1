//! What to do about a refused exchange.

use std::time::SystemTime;

use super::{FederationCause, FederationFacts, FederationRefusal, ProviderName};
use crate::error::{Remedy, shorten};
use crate::{scopes, shell};

/// What commands contain in place of a claim that a person has to choose.
pub(super) const CLAIM: &str = "CLAIM";

impl FederationRefusal {
    /// Returns what to do, in one line.
    pub(crate) fn advice(&self, now: SystemTime) -> String {
        let Remedy { words, command, .. } = self.remedy(now);
        match command {
            Some(command) => format!("{words}: {command}"),
            None => words,
        }
    }

    /// Returns what to do.
    pub(crate) fn remedy(&self, now: SystemTime) -> Remedy {
        let likely = if self.is_certain { "" } else { "likely " };
        let command = self.command();
        let is_shown =
            [self.facts.discovery(), self.facts.provider.as_ref().map(describe)].contains(&command);
        Remedy {
            words: format!("{likely}{}", self.facts.problem(self.cause, now)),
            note: "",
            changes: command.is_some() && !is_shown,
            command,
            check: None,
        }
    }

    /// Returns the command that resolves it, or that shows more.
    pub(super) fn command(&self) -> Option<String> {
        let facts = &self.facts;
        if self.cause == FederationCause::IssuerUnreachable {
            return facts.discovery();
        }
        let provider = facts.provider.as_ref()?;
        let update = |flag: String| Some(provider.command("update-oidc", &[flag]));
        match self.cause {
            FederationCause::UnknownProvider => Some(facts.enable(provider)),
            FederationCause::WrongAudience => {
                let accepted = facts.accepted_audiences(provider).join(",");
                update(format!("--allowed-audiences={accepted}"))
            }
            FederationCause::WrongIssuer => update(format!("--issuer-uri={}", facts.subject.issuer()?)),
            FederationCause::ConditionRefused => match facts.wider_condition() {
                Some(condition) => update(format!("--attribute-condition={condition}")),
                None => Some(describe(provider)),
            },
            FederationCause::MappingTooLong => {
                update(format!("--attribute-mapping={}", facts.shorter_mapping()))
            }
            FederationCause::MappingFailed | FederationCause::WrongSignature | FederationCause::Other => {
                Some(describe(provider))
            }
            _ => None,
        }
    }
}

fn shown(claim: Option<&str>) -> String {
    claim.map_or_else(|| "unknown".to_owned(), shorten)
}

fn describe(provider: &ProviderName) -> String {
    provider.command("describe", &["--format=json".to_owned()])
}

impl FederationFacts {
    fn problem(&self, cause: FederationCause, now: SystemTime) -> String {
        let subject = &self.subject;
        let issuer = shown(subject.issuer());
        match cause {
            FederationCause::Expired | FederationCause::Stale => {
                format!("renew the subject token at its source, {}: {}", self.origin, subject.age(now))
            }
            FederationCause::NotYetValid => format!(
                "check the clocks of this machine and of the token's issuer {issuer}: the subject token isn't valid yet"
            ),
            FederationCause::IssuerUnreachable => format!(
                "make the keys of the issuer {issuer} reachable for Google, or upload them to the provider (its \
                 discovery document must be public)"
            ),
            FederationCause::WrongSignature => format!(
                "check that the subject token is issued by {issuer}, and that the provider has the issuer's present \
                 keys, if they were uploaded to it"
            ),
            FederationCause::NotAToken => {
                format!(
                    "check {}: what it contains isn't a token of the type in `subject_token_type`",
                    self.origin
                )
            }
            FederationCause::WrongScope => {
                format!("request scopes that exist, such as {}", scopes::CLOUD_PLATFORM)
            }
            cause => self.problem_of_provider(cause),
        }
    }

    /// What the provider's configuration and the token don't agree about.
    fn problem_of_provider(&self, cause: FederationCause) -> String {
        let (subject, description) = (&self.subject, self.description.as_ref());
        match cause {
            FederationCause::UnknownProvider => self.unknown_provider(),
            FederationCause::WrongAudience => {
                let default = self.provider.as_ref().map_or_else(String::new, ProviderName::default_audience);
                let audiences = subject.shown_audiences();
                format!(
                    "get the subject token for the audience {default}, or allow its audience [{audiences}], which \
                     the provider doesn't accept"
                )
            }
            FederationCause::WrongIssuer => {
                let expected = description.and_then(|description| description.issuer());
                let expected = expected.map_or_else(|| "another one".to_owned(), shorten);
                let issuer = shown(subject.issuer());
                format!(
                    "use the provider of the token's issuer {issuer} (this one expects {expected}), or set it"
                )
            }
            FederationCause::ConditionRefused => {
                let condition =
                    description.map(|description| format!(" ({})", shorten(description.condition())));
                let condition = condition.unwrap_or_default();
                format!(
                    "make the provider's condition{condition} accept the subject {}",
                    shown(subject.subject())
                )
            }
            FederationCause::MappingTooLong => {
                let length = subject.subject().map_or(0, str::len);
                format!("map google.subject to a claim of at most 127 bytes (the token's `sub` has {length})")
            }
            FederationCause::MappingFailed => {
                "map google.subject to a claim that each token has, such as assertion.sub".to_owned()
            }
            _ => "compare the subject token with the provider's issuer, audiences, mapping and condition"
                .to_owned(),
        }
    }

    fn unknown_provider(&self) -> String {
        let of_file = "the file's `audience`";
        match &self.description {
            _ if self.provider.is_none() => {
                format!("{of_file} must be the name of a provider in an identity pool")
            }
            Some(description) if description.is_deleted() => {
                "restore the provider, which is deleted".to_owned()
            }
            Some(description) if description.is_disabled() => "enable the provider".to_owned(),
            _ => format!(
                "check that the pool and the provider in {of_file} exist and are enabled (a new one takes minutes)"
            ),
        }
    }

    fn enable(&self, provider: &ProviderName) -> String {
        match &self.description {
            Some(description) if description.is_deleted() => provider.command("undelete", &[]),
            Some(description) if description.is_disabled() => {
                provider.command("update-oidc", &["--no-disabled".to_owned()])
            }
            _ => describe(provider),
        }
    }

    /// Returns the command that gets the issuer's discovery document.
    fn discovery(&self) -> Option<String> {
        let issuer = self.subject.issuer().filter(|issuer| issuer.starts_with("https://"))?;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        Some(shell::command(["curl", "-fsS", &url]))
    }

    /// The audiences that the provider accepts, and the first one of the token.
    fn accepted_audiences(&self, provider: &ProviderName) -> Vec<String> {
        let known = self.description.as_ref().map_or(&[][..], |description| description.allowed_audiences());
        let mut accepted = known.to_vec();
        if accepted.is_empty() {
            accepted.push(provider.default_audience());
        }
        // A comma would make it several.
        accepted.extend(self.subject.audiences().first().filter(|audience| !audience.contains(',')).cloned());
        accepted
    }

    /// The provider's condition, widened by this subject; `None` if the condition isn't known.
    fn wider_condition(&self) -> Option<String> {
        let condition = self.description.as_ref()?.condition();
        let subject = self.subject.subject()?;
        let literal = subject.replace('\\', r"\\").replace('\'', r"\'");
        Some(format!("({condition}) || assertion.sub == '{literal}'"))
    }

    /// The provider's mapping with another subject.
    fn shorter_mapping(&self) -> String {
        let known = self.description.iter().flat_map(|description| description.mapping());
        let others = known.filter(|(name, _)| *name != "google.subject");
        let others = others.map(|(name, mapped)| format!("{name}={mapped}"));
        let subject = format!("google.subject=assertion.{CLAIM}");
        std::iter::once(subject).chain(others).collect::<Vec<_>>().join(",")
    }
}
