//! Checks identity pools, their providers, and external accounts.

use super::Policy;
use super::error::PolicyError;
use super::external_account::ExternalAccount;
use super::federation::{IdentityPool, IdentityProvider, OidcProvider};
use crate::emulator::iam::federation::cel::Expression;
use crate::emulator::iam::federation::names::{self, EXPECTED_POOL, EXPECTED_PROVIDER};

/// What an error says about the name of a mapped attribute.
const EXPECTED_ATTRIBUTE: &str = "expected google.subject, google.groups, or attribute.NAME with lower-case \
                                  letters, digits and _";

/// Which attributes of `google` a mapping can set.
const GOOGLE_ATTRIBUTES: [&str; 6] = [
    "google.subject",
    "google.groups",
    "google.display_name",
    "google.profile_photo",
    "google.posix_username",
    "google.email",
];

impl Policy {
    pub(super) fn check_federation(&self) -> Result<(), PolicyError> {
        self.identity_pools.iter().try_for_each(|(name, pool)| check_pool(name, pool))?;
        self.external_accounts
            .iter()
            .try_for_each(|(name, account)| self.check_external_account(name, account))
    }

    fn check_external_account(&self, name: &str, account: &ExternalAccount) -> Result<(), PolicyError> {
        let path = format!("externalAccounts[{name:?}]");
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(legal) || name.bytes().all(|b| b == b'.') {
            return Err(PolicyError::new(path, "expected a name of letters, digits, -, _ and ."));
        }
        let problem = match self.provider(&account.provider) {
            None => format!("is not a provider in identityPools; {EXPECTED_PROVIDER}"),
            Some(provider) if provider.oidc.jwks.is_some() => {
                "has an issuer with keys of its own, so the emulator can't issue tokens; expected a provider \
                 without jwks"
                    .to_owned()
            }
            Some(_) => return Ok(()),
        };
        Err(PolicyError::new(format!("{path}.provider"), format!("{:?} {problem}", account.provider)))
    }
}

fn check_pool(name: &str, pool: &IdentityPool) -> Result<(), PolicyError> {
    let path = format!("identityPools[{name:?}]");
    if !names::is_pool(name) {
        return Err(PolicyError::new(path, EXPECTED_POOL));
    }
    for (id, provider) in &pool.providers {
        let path = format!("{path}.providers[{id:?}]");
        if names::split_provider(&format!("{name}/providers/{id}")).is_none() {
            return Err(PolicyError::new(path, "expected an id of lower-case letters, digits and -"));
        }
        check_provider(provider, &path)?;
    }
    Ok(())
}

fn check_provider(provider: &IdentityProvider, path: &str) -> Result<(), PolicyError> {
    check_oidc(&provider.oidc, path)?;
    let mapping = provider.mapping();
    for (attribute, expression) in &mapping {
        let path = format!("{path}.attributeMapping[{attribute:?}]");
        let custom = attribute.strip_prefix("attribute.").is_some_and(names::is_attribute);
        if !custom && !GOOGLE_ATTRIBUTES.contains(attribute) {
            return Err(PolicyError::new(path, EXPECTED_ATTRIBUTE));
        }
        check_expression(expression, path)?;
    }
    if !mapping.contains_key("google.subject") {
        return Err(PolicyError::new(format!("{path}.attributeMapping"), "google.subject is missing"));
    }
    let condition = provider.attribute_condition.as_deref();
    condition.map_or(Ok(()), |condition| check_expression(condition, format!("{path}.attributeCondition")))
}

fn check_oidc(oidc: &OidcProvider, path: &str) -> Result<(), PolicyError> {
    if !oidc.issuer_uri.starts_with("https://") && !oidc.issuer_uri.starts_with("http://") {
        let example = "expected a URL, such as https://token.actions.githubusercontent.com";
        return Err(PolicyError::new(format!("{path}.oidc.issuerUri"), example));
    }
    if oidc.jwks.as_ref().is_none_or(|jwks| jwks["keys"].is_array()) {
        return Ok(());
    }
    let problem = "expected a JSON Web Key Set: {\"keys\": [{\"kty\": \"RSA\", \"kid\": \"…\", …}]}";
    Err(PolicyError::new(format!("{path}.oidc.jwks"), problem))
}

fn check_expression(text: &str, path: String) -> Result<(), PolicyError> {
    match Expression::parse(text) {
        Ok(_) => Ok(()),
        Err(problem) => Err(PolicyError::new(path, format!("{text:?} is not an expression: {problem}"))),
    }
}
