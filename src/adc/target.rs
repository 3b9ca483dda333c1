//! The account that a credential file impersonates.

use http::Uri;

use super::credential_file::Fields;
use super::reader::Reader;
use crate::host::{DEFAULT_UNIVERSE, Service, is_loopback};
use crate::{Error, ServiceAccountName};

const URL: &str = "service_account_impersonation_url";
/// Far more than a URL with an account's name needs, in bytes.
const MAX_URL: usize = 512;

const PATH: &str = "/v1/projects/-/serviceAccounts/";
const METHODS: [&str; 2] = [":generateAccessToken", ":generateIdToken"];

/// What the URL in the file names.
pub(super) struct Target {
    pub(super) account: ServiceAccountName,
    /// The scheme, host and port of the server.
    pub(super) server: String,
    pub(super) protocol: Protocol,
}

/// How the server is called.
pub(super) enum Protocol {
    Grpc,
    /// By REST, at the URL in the file. This is that URL without the colon and the method.
    Rest {
        #[cfg_attr(not(feature = "credential-files"), allow(dead_code))]
        url: String,
    },
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
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(fields.invalid(URL, "must be a URL with a host"));
        };
        let server = format!("{scheme}://{authority}");
        let is_googles = self.settings.trust.is_host_of(Service::IamCredentials, authority.host());
        let named = match account_in(&uri) {
            Some(account) if is_googles || is_loopback(&uri) => Some((account, Protocol::Grpc)),
            // Somebody else's server may know only the URL in the file.
            _ if !is_googles => account_of_any_path(&uri, &server),
            _ => None,
        };
        let (account, protocol) = named.ok_or_else(|| {
            let form = format!("https://iamcredentials.{DEFAULT_UNIVERSE}{PATH}{{account}}{}", METHODS[0]);
            fields.invalid(URL, format!("must have the form {form}, got {}", shown(&uri)))
        })?;
        Ok(Target { account, server, protocol })
    }

    /// Returns the account that the object names, if it names one.
    pub(super) fn optional_target(&self, fields: Fields<'_>) -> Result<Option<Target>, Error> {
        if fields.has(URL) { self.target(fields).map(Some) } else { Ok(None) }
    }
}

/// Returns the account in a URL of Google's API.
fn account_in(uri: &Uri) -> Option<ServiceAccountName> {
    let segment = uri.path().strip_prefix(PATH).filter(|_| uri.query().is_none())?;
    let account = METHODS.iter().find_map(|method| segment.strip_suffix(method))?;
    parse_account(account)
}

/// Returns the account in the last segment of any path, before the colon.
fn account_of_any_path(uri: &Uri, server: &str) -> Option<(ServiceAccountName, Protocol)> {
    let path = uri.path();
    let path =
        METHODS.iter().find_map(|method| path.strip_suffix(method)).filter(|_| uri.query().is_none())?;
    let account = parse_account(path.rsplit('/').next()?)?;
    Some((account, Protocol::Rest { url: format!("{server}{path}") }))
}

fn parse_account(segment: &str) -> Option<ServiceAccountName> {
    // Some tools percent-encode the account.
    let account = segment.replace("%40", "@");
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
