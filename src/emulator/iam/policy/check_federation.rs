//! Checks identity pools, their providers, and external accounts.

use super::Policy;
use super::error::PolicyError;
use super::external_account::ExternalAccount;
use super::federation::{AwsProvider, IdentityPool, IdentityProvider, OidcProvider};
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
        if !is_account_name(name) {
            return Err(PolicyError::new(path, "expected a name of letters, digits, -, _ and ."));
        }
        let Some(provider) = self.provider(&account.provider) else {
            let problem =
                format!("{:?} is not a provider in identityPools; {EXPECTED_PROVIDER}", account.provider);
            return Err(PolicyError::new(format!("{path}.provider"), problem));
        };
        if account.rotates_refresh_tokens && !names::is_workforce(&account.provider) {
            let problem = "only people of a workforce pool have refresh tokens";
            return Err(PolicyError::new(format!("{path}.rotatesRefreshTokens"), problem));
        }
        if provider.aws.is_some() {
            return check_aws_account(account, &path);
        }
        if let Some(field) = account.field_of_aws() {
            let problem = "only an account whose provider is for AWS has this field";
            return Err(PolicyError::new(format!("{path}.{field}"), problem));
        }
        if provider.oidc.as_ref().is_some_and(|oidc| oidc.jwks.is_some()) {
            let problem = format!(
                "{:?} has an issuer with keys of its own, so the emulator can't issue tokens; expected a \
                 provider without jwks",
                account.provider
            );
            return Err(PolicyError::new(format!("{path}.provider"), problem));
        }
        Ok(())
    }
}

/// The name is part of URLs.
fn is_account_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !name.is_empty() && name.bytes().all(legal) && !name.bytes().all(|b| b == b'.')
}

fn check_aws_account(account: &ExternalAccount, path: &str) -> Result<(), PolicyError> {
    if !account.claims.is_empty() {
        let problem = "an account of AWS has no claims: its assertion is account, arn and userid";
        return Err(PolicyError::new(format!("{path}.claims"), problem));
    }
    let role = account.aws_role("role");
    if role.is_empty() || !role.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b)) {
        let problem = "expected the name of a role: letters, digits, and + = , . @ _ -";
        return Err(PolicyError::new(format!("{path}.role"), problem));
    }
    let region = account.aws_region();
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if region.is_empty() || !region.bytes().all(legal) {
        return Err(PolicyError::new(format!("{path}.region"), "expected a region, such as us-east-2"));
    }
    Ok(())
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
    match (&provider.oidc, &provider.aws) {
        (Some(oidc), None) => check_oidc(oidc, path)?,
        (None, Some(aws)) => check_aws(aws, path)?,
        _ => return Err(PolicyError::new(path, "expected either oidc or aws")),
    }
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

fn check_aws(aws: &AwsProvider, path: &str) -> Result<(), PolicyError> {
    if aws.account_id.len() == 12 && aws.account_id.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(());
    }
    Err(PolicyError::new(format!("{path}.aws.accountId"), "expected 12 digits, such as \"123456789012\""))
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
