//! Files of the type `impersonated_service_account`.

use http::Uri;

use super::credential_file::{Fields, SOURCE};
use super::reader::{Purpose, Reader, default_scopes};
use crate::host::DEFAULT_UNIVERSE;
use crate::scopes::check::checked_scopes;
use crate::{Credentials, Error, IamCredentialsClient, Impersonation, ServiceAccountName};

/// How many impersonations one file may nest.
const MAX_DEPTH: usize = 8;

const URL: &str = "service_account_impersonation_url";
/// More than any URL with an account's name needs.
const MAX_URL: usize = 512;

const PATH: &str = "/v1/projects/-/serviceAccounts/";
const METHODS: [&str; 2] = [":generateAccessToken", ":generateIdToken"];

impl Reader {
    /// Credentials that act as the target of the file, from the credentials inside.
    pub(super) fn impersonated(
        &self,
        fields: Fields<'_>,
        purpose: Purpose<'_>,
    ) -> Result<Credentials, Error> {
        if fields.depth() >= MAX_DEPTH {
            return Err(fields.invalid(
                "type",
                format!("is the {}th impersonation in one file: {MAX_DEPTH} are the most", MAX_DEPTH + 1),
            ));
        }
        let (target, server) = self.target(fields)?;
        let delegates = fields.delegates()?;
        let own_scopes = fields.texts("scopes")?;
        let scopes = match (purpose, purpose.scopes()) {
            (_, Some(asked)) => asked.iter().map(ToString::to_string).collect(),
            (Purpose::Use { .. }, None) if !own_scopes.is_empty() => {
                checked_scopes(own_scopes).map_err(|error| fields.locate(error))?
            }
            _ => default_scopes().iter().map(ToString::to_string).collect(),
        };
        let lifetime = fields.lifetime()?.unwrap_or(Impersonation::LIFETIME);
        let quota_project = self.quota_project(fields, purpose)?;
        let universe = self.universe(fields)?;
        let source = self.credentials(fields.source()?, Purpose::Impersonation)?;

        let info = source.info();
        let of_source = info.universe_domain().unwrap_or(DEFAULT_UNIVERSE);
        let universe = universe.unwrap_or(of_source);
        if universe != of_source {
            let problem = format!("is {universe:?}, but that of {SOURCE} is {of_source:?}");
            return Err(fields.invalid("universe_domain", problem));
        }
        let mut builder = IamCredentialsClient::builder().credentials(source).variables(self.variables);
        if universe != &*self.usual_universe {
            builder = builder.universe_domain(universe);
        }
        // Left out where it is the usual one, so that the emulator's variable can take its place.
        if server != format!("https://iamcredentials.{universe}") {
            builder = builder.endpoint(&server);
        }
        let located = |error| fields.locate(error);
        let client = builder.build().map_err(located)?;
        let mut acting = client.impersonate(&target).delegates(&delegates).lifetime(lifetime);
        if let Some(project) = quota_project {
            acting = acting.quota_project(project);
        }
        acting.access_token(&scopes).map_err(located)
    }

    /// The account to act as, and the server that the URL in the file names.
    fn target(&self, fields: Fields<'_>) -> Result<(ServiceAccountName, String), Error> {
        let url = fields.text(URL)?;
        if url.len() > MAX_URL {
            return Err(fields.invalid(URL, format!("is longer than {MAX_URL} bytes")));
        }
        let uri = self.trust.check_url(url, URL).map_err(|error| fields.locate(error))?;
        let target = target_of(&uri).ok_or_else(|| {
            let form = format!("https://iamcredentials.{DEFAULT_UNIVERSE}{PATH}{{account}}{}", METHODS[0]);
            fields.invalid(URL, format!("{}is not of the form {form}", quoted(&uri)))
        })?;
        // A port of its own stays; the path goes.
        let server = match (uri.scheme(), uri.authority()) {
            (Some(scheme), Some(authority)) => format!("{scheme}://{authority}"),
            _ => return Err(fields.invalid(URL, "has no host")),
        };
        Ok((target, server))
    }
}

/// The account in the path: what stands before the colon in its last segment.
fn target_of(uri: &Uri) -> Option<ServiceAccountName> {
    if uri.query().is_some() {
        return None;
    }
    let account = uri.path().strip_prefix(PATH)?;
    let account = METHODS.iter().find_map(|method| account.strip_suffix(method))?;
    // Some write the name of the resource as a URL wants it.
    let account = account.replace("%40", "@");
    if account.contains('/') { None } else { account.parse().ok() }
}

/// The URL for people, unless it has parts that may be secret.
fn quoted(uri: &Uri) -> String {
    match uri.query() {
        None => format!("(\"{uri}\") "),
        Some(_) => "has a query, and ".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "sa@p.iam.gserviceaccount.com";

    /// conf: P52
    #[test]
    fn the_target_stands_before_the_colon() {
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
            let target = target_of(&url.parse().unwrap());
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
            assert_eq!(target_of(&format!("https://host{path}").parse().unwrap()), None, "{path}");
        }
    }
}
