//! Credential files of the type `impersonated_service_account`.

use http::Uri;

use super::credential_file::{Fields, SOURCE};
use super::reader::{Purpose, Reader, default_scopes};
use crate::host::DEFAULT_UNIVERSE;
use crate::scopes::check::checked_scopes;
use crate::{Credentials, Error, IamCredentialsClient, Impersonation, ServiceAccountName};

/// How many impersonations may be nested in one file.
const MAX_DEPTH: usize = 8;

const URL: &str = "service_account_impersonation_url";
/// Far more than a URL with an account's name needs, in bytes.
const MAX_URL: usize = 512;

const PATH: &str = "/v1/projects/-/serviceAccounts/";
const METHODS: [&str; 2] = [":generateAccessToken", ":generateIdToken"];

/// What the URL in the file names.
struct Target {
    account: ServiceAccountName,
    /// The scheme, host and port of the API.
    server: String,
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
        let delegates = fields.delegates()?;
        let scopes = self.target_scopes(fields, purpose)?;
        let lifetime = fields.lifetime()?.unwrap_or(Impersonation::LIFETIME);
        let quota_project = self.quota_project(fields, purpose)?;
        let universe = self.universe(fields)?;
        let source = self.credentials(fields.source()?, Purpose::Impersonation)?;

        let universe = universe_of(fields, universe, &source)?;
        let client = self.client(source, &universe, &target.server).map_err(|error| fields.locate(error))?;
        let mut impersonation = client.impersonate(&target.account).delegates(&delegates).lifetime(lifetime);
        if let Some(project) = quota_project {
            impersonation = impersonation.quota_project(project);
        }
        impersonation.access_token(&scopes).map_err(|error| fields.locate(error))
    }

    fn target(&self, fields: Fields<'_>) -> Result<Target, Error> {
        let url = fields.text(URL)?;
        if url.len() > MAX_URL {
            return Err(fields.invalid(URL, format!("must have at most {MAX_URL} bytes")));
        }
        let uri = self.settings.trust.check_url(url, URL).map_err(|error| fields.locate(error))?;
        let account = account_in(&uri).ok_or_else(|| {
            let form = format!("https://iamcredentials.{DEFAULT_UNIVERSE}{PATH}{{account}}{}", METHODS[0]);
            fields.invalid(URL, format!("must have the form {form}, got {}", shown(&uri)))
        })?;
        match (uri.scheme(), uri.authority()) {
            (Some(scheme), Some(authority)) => {
                Ok(Target { account, server: format!("{scheme}://{authority}") })
            }
            _ => Err(fields.invalid(URL, "must be a URL with a host")),
        }
    }

    /// Returns the scopes that the program requests, else those in the file, else the default.
    fn target_scopes(&self, fields: Fields<'_>, purpose: Purpose) -> Result<Vec<String>, Error> {
        let in_file = fields.texts("scopes")?;
        match self.requested_scopes(purpose) {
            Some(requested) => Ok(requested.to_vec()),
            // Scopes in the file are those of the program's tokens, not of a source's.
            None if in_file.is_empty() || purpose == Purpose::Impersonation => Ok(default_scopes()),
            None => checked_scopes(in_file).map_err(|error| fields.locate(error)),
        }
    }

    fn client(
        &self,
        source: Credentials,
        universe: &str,
        server: &str,
    ) -> Result<IamCredentialsClient, Error> {
        let mut builder =
            IamCredentialsClient::builder().credentials(source).variables(self.settings.variables);
        // Defaults aren't set, so that the variable of the emulator can replace them.
        if universe != self.settings.default_universe {
            builder = builder.universe_domain(universe);
        }
        if server != format!("https://iamcredentials.{universe}") {
            builder = builder.endpoint(server);
        }
        builder.build()
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

/// Returns the account in the last segment of the path, before the colon.
fn account_in(uri: &Uri) -> Option<ServiceAccountName> {
    if uri.query().is_some() {
        return None;
    }
    let account = uri.path().strip_prefix(PATH)?;
    let account = METHODS.iter().find_map(|method| account.strip_suffix(method))?;
    // Some tools percent-encode the account.
    let account = account.replace("%40", "@");
    if account.contains('/') { None } else { account.parse().ok() }
}

/// Returns the URL for an error, unless its query may contain a secret.
fn shown(uri: &Uri) -> String {
    match uri.query() {
        None => format!("\"{uri}\""),
        Some(_) => "a URL with a query".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "sa@p.iam.gserviceaccount.com";

    /// conf: P52
    #[test]
    fn the_target_is_the_part_before_the_colon() {
        for url in [
            format!(
                "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"
            ),
            format!(
                "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{ACCOUNT}:generateIdToken"
            ),
            format!("http://[::1]:80/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"),
            "https://x/v1/projects/-/serviceAccounts/sa%40p.iam.gserviceaccount.com:generateAccessToken"
                .to_owned(),
        ] {
            let target = account_in(&url.parse().unwrap());
            assert_eq!(target.as_ref().map(ServiceAccountName::account), Some(ACCOUNT), "{url}");
        }
        for path in [
            "",
            "/",
            "/v1/projects/-/serviceAccounts/sa@p.com",
            "/v1/projects/-/serviceAccounts/sa@p.com:signJwt",
            "/v1/projects/-/serviceAccounts/:generateAccessToken",
            "/v1/projects/-/serviceAccounts/a/b@p.com:generateAccessToken",
            "/v1/projects/-/serviceAccounts/no-name:generateAccessToken",
            "/v1/projects/-/serviceAccounts/sa@p.com:generateAccessToken?key=1",
            "/v1/projects/-/serviceAccounts/sa@p.com:generateAccessToken/",
            "/v2/projects/-/serviceAccounts/sa@p.com:generateAccessToken",
        ] {
            assert_eq!(account_in(&format!("https://host{path}").parse().unwrap()), None, "{path}");
        }
    }
}
