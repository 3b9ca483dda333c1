//! The account that a credential file impersonates.

use http::Uri;

use super::credential_file::Fields;
use super::reader::Reader;
use crate::host::{DEFAULT_UNIVERSE, Service};
use crate::{Error, ServiceAccountName};

const URL: &str = "service_account_impersonation_url";
/// Far more than a URL with an account's name needs, in bytes.
const MAX_URL: usize = 512;

const PATH: &str = "/v1/projects/-/serviceAccounts/";
const METHODS: [&str; 2] = [":generateAccessToken", ":generateIdToken"];

/// What the URL in the file names.
pub(super) struct Target {
    pub(super) account: ServiceAccountName,
    /// The scheme, host and port of the API.
    pub(super) server: String,
}

impl Reader {
    /// Returns the account that the object names.
    pub(super) fn target(&self, fields: Fields<'_>) -> Result<Target, Error> {
        let url = fields.text(URL)?;
        if url.len() > MAX_URL {
            return Err(fields.invalid(URL, format!("must have at most {MAX_URL} bytes")));
        }
        let uri = self.settings.trust.check_service_url(url, URL, Service::IamCredentials);
        let uri = uri.map_err(|error| fields.locate(error))?;
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

    /// Returns the account that the object names, if it names one.
    pub(super) fn optional_target(&self, fields: Fields<'_>) -> Result<Option<Target>, Error> {
        if fields.has(URL) { self.target(fields).map(Some) } else { Ok(None) }
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
