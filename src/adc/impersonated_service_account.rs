//! Credential files of the type `impersonated_service_account`.

use std::time::Duration;

use super::credential_file::{Fields, SOURCE};
use super::reader::{Purpose, Reader, default_scopes};
use super::target::Target;
use crate::host::DEFAULT_UNIVERSE;
use crate::scopes::check::checked_scopes;
use crate::{Credentials, Error, Impersonation, ServiceAccountName};

/// How many impersonations may be nested in one file.
const MAX_DEPTH: usize = 8;

/// How the account in the file is impersonated.
struct Options<'a> {
    delegates: Vec<ServiceAccountName>,
    lifetime: Duration,
    quota_project: Option<&'a str>,
}

impl Reader {
    /// Reads the account to impersonate, and the credentials of the source.
    pub(super) fn impersonated_service_account(
        &self,
        fields: Fields<'_>,
        purpose: Purpose,
    ) -> Result<Credentials, Error> {
        if fields.depth() >= MAX_DEPTH {
            let expectation = format!("must not be nested: at most {MAX_DEPTH} impersonations are supported");
            return Err(fields.invalid("type", expectation));
        }
        let target = self.target(fields)?;
        let scopes = self.target_scopes(fields, purpose)?;
        let named = self.universe(fields)?;
        // The fields of this object come first: their errors are of more use.
        self.options(fields, purpose)?;
        let source = self.credentials(fields.source()?, Purpose::Impersonation)?;
        let universe = universe_of(fields, named, &source)?;
        let impersonation = self.impersonation(fields, purpose, &target, source, &universe)?;
        impersonation.access_token(&scopes).map_err(|error| fields.locate(error))
    }

    /// Makes the impersonation of `target` that the object describes, from its source.
    pub(super) fn impersonation(
        &self,
        fields: Fields<'_>,
        purpose: Purpose,
        target: &Target,
        source: Credentials,
        universe: &str,
    ) -> Result<Impersonation, Error> {
        let Options { delegates, lifetime, quota_project } = self.options(fields, purpose)?;
        let client = self.settings.client(source, universe, &target.server);
        let client = client.map_err(|error| fields.locate(error))?;
        let impersonation = client.impersonate(&target.account).delegates(&delegates).lifetime(lifetime);
        Ok(match quota_project {
            Some(project) => impersonation.quota_project(project),
            None => impersonation,
        })
    }

    fn options<'a>(&'a self, fields: Fields<'a>, purpose: Purpose) -> Result<Options<'a>, Error> {
        Ok(Options {
            delegates: fields.delegates()?,
            lifetime: fields.lifetime()?.unwrap_or(Impersonation::LIFETIME),
            quota_project: self.quota_project(fields, purpose)?,
        })
    }

    /// Returns the scopes that the program requests, else those in the file, else the default.
    pub(super) fn target_scopes(&self, fields: Fields<'_>, purpose: Purpose) -> Result<Vec<String>, Error> {
        let in_file = fields.texts("scopes")?;
        match self.requested_scopes(purpose) {
            Some(requested) => Ok(requested.to_vec()),
            // Scopes in the file are those of the program's tokens, not of a source's.
            None if in_file.is_empty() || purpose == Purpose::Impersonation => Ok(default_scopes()),
            None => checked_scopes(in_file).map_err(|error| fields.locate(error)),
        }
    }
}

/// Returns the universe that the object names, else the source's. They must not differ.
fn universe_of(fields: Fields<'_>, named: Option<&str>, source: &Credentials) -> Result<String, Error> {
    let info = source.info();
    let of_source = info.universe_domain().unwrap_or(DEFAULT_UNIVERSE);
    match named {
        Some(named) if named != of_source => {
            let expectation = format!("must be {of_source:?} like that of {SOURCE}, got {named:?}");
            Err(fields.invalid("universe_domain", expectation))
        }
        _ => Ok(of_source.to_owned()),
    }
}
