//! Credential files of the type `impersonated_service_account`.

use super::credential_file::{Fields, SOURCE};
use super::reader::{Purpose, Reader, default_scopes};
use super::target::Target;
use crate::host::DEFAULT_UNIVERSE;
use crate::impersonation::OptionsInFile;
use crate::scopes::check::checked_scopes;
use crate::{Credentials, Error, Impersonation};

/// How many impersonations may be nested in one file.
const MAX_DEPTH: usize = 8;

impl Reader {
    /// Reads the account to impersonate, and the credentials of the source.
    pub(super) fn impersonated_service_account(
        &self,
        fields: Fields<'_>,
        purpose: Purpose,
    ) -> Result<Credentials, Error> {
        let scopes = self.target_scopes(fields, purpose)?;
        let source = self.source_of_account(fields, purpose)?;
        let impersonation = self.impersonation_of_account(fields, purpose, source)?;
        impersonation.access_token(&scopes).map_err(|error| fields.locate(error))
    }

    /// Reads the credentials that impersonate the account.
    pub(super) fn source_of_account(
        &self,
        fields: Fields<'_>,
        purpose: Purpose,
    ) -> Result<Credentials, Error> {
        if fields.depth() >= MAX_DEPTH {
            let expectation = format!("must not be nested: at most {MAX_DEPTH} impersonations are supported");
            return Err(fields.invalid("type", expectation));
        }
        // The fields of this object come first: their errors are of more use.
        self.target(fields)?;
        self.universe(fields)?;
        fields.delegates()?;
        self.options(fields, purpose)?;
        self.credentials(fields.source()?, Purpose::Impersonation)
    }

    /// Reads the impersonation of the account by `source`.
    pub(super) fn impersonation_of_account(
        &self,
        fields: Fields<'_>,
        purpose: Purpose,
        source: Credentials,
    ) -> Result<Impersonation, Error> {
        let target = self.target(fields)?;
        let universe = universe_of(fields, self.universe(fields)?, &source)?;
        self.impersonation(fields, purpose, &target, source, &universe)
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
        let delegates = fields.delegates()?;
        let options = self.options(fields, purpose)?;
        let client =
            self.settings.client_of(source, universe, target).map_err(|error| fields.locate(error))?;
        Ok(client.impersonate(&target.account).delegates(delegates).in_file(options))
    }

    fn options(&self, fields: Fields<'_>, purpose: Purpose) -> Result<OptionsInFile, Error> {
        let quota_project = self.quota_project(fields, purpose)?.map(str::to_owned);
        Ok(OptionsInFile { lifetime: fields.lifetime()?, quota_project })
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
