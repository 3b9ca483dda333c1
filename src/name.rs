//! Resource names of service accounts.

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Error;
use crate::error::shorten;

const PROJECTS: &str = "projects/";
const SERVICE_ACCOUNTS: &str = "/serviceAccounts/";

/// The only project that the API accepts: it finds the account's project by itself.
const ANY_PROJECT: &str = "-";

/// The largest length of a full name in bytes.
const MAX_LEN: usize = 512;

/// Returns the resource name of a service account: `projects/{project}/serviceAccounts/{account}`.
///
/// The API accepts only the wildcard `-` as the project. This function checks nothing: to check a
/// name, parse it as a [`ServiceAccountName`].
///
/// ```
/// use gcp_iam_credentials::service_account_path;
///
/// let path = service_account_path("-", "sa@p.iam.gserviceaccount.com");
/// assert_eq!(path, "projects/-/serviceAccounts/sa@p.iam.gserviceaccount.com");
/// ```
pub fn service_account_path(project: &str, account: &str) -> String {
    [PROJECTS, project, SERVICE_ACCOUNTS, account].concat()
}

/// Splits a resource name into project and account: the inverse of [`service_account_path`].
/// Returns `None` if `path` doesn't have that form.
///
/// ```
/// use gcp_iam_credentials::parse_service_account_path;
///
/// let path = "projects/-/serviceAccounts/sa@p.iam.gserviceaccount.com";
/// let (project, account) = parse_service_account_path(path).unwrap();
/// assert_eq!((project, account), ("-", "sa@p.iam.gserviceaccount.com"));
///
/// assert_eq!(parse_service_account_path("projects/p/topics/t"), None);
/// ```
pub fn parse_service_account_path(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(PROJECTS)?;
    let (project, _) = rest.split_once('/')?;
    let account = rest[project.len()..].strip_prefix(SERVICE_ACCOUNTS)?;
    let is_whole = !project.is_empty() && !account.is_empty() && !account.contains('/');
    is_whole.then_some((project, account))
}

/// Returns the account in a resource name, or the whole text if it isn't a resource name.
pub(crate) fn account_in(name: &str) -> &str {
    parse_service_account_path(name).map_or(name, |(_, account)| account)
}

/// Returns the project in the e-mail address of a service account, unless it has only the project's
/// number.
#[cfg(feature = "gcp-auth")]
pub(crate) fn project_in(email: &str) -> Option<String> {
    let (name, domain) = email.split_once('@')?;
    if domain == "appspot.gserviceaccount.com" {
        return (!name.contains('.')).then(|| name.to_owned());
    }
    let project = domain.strip_suffix(".iam.gserviceaccount.com")?;
    // A project of an organization is `example.com:project`, and its accounts are in
    // `project.example.com`.
    match project.split_once('.') {
        Some((project, organization)) => Some(format!("{organization}:{project}")),
        None => Some(project.to_owned()),
    }
}

/// The valid name of a service account.
///
/// It is parsed from an e-mail address, the account's numeric unique id, or a full resource name.
/// It is printed and serialized as the full resource name. Deserializing checks it too.
///
/// ```
/// use gcp_iam_credentials::ServiceAccountName;
///
/// let name: ServiceAccountName = "sa@p.iam.gserviceaccount.com".parse()?;
/// let path = "projects/-/serviceAccounts/sa@p.iam.gserviceaccount.com";
/// assert_eq!(name.to_string(), path);
/// assert_eq!(name.account(), "sa@p.iam.gserviceaccount.com");
/// # Ok::<(), gcp_iam_credentials::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceAccountName {
    path: Box<str>,
    /// The index in `path` at which the account starts.
    account: usize,
}

impl ServiceAccountName {
    /// Returns the e-mail address or the numeric unique id.
    pub fn account(&self) -> &str {
        &self.path[self.account..]
    }

    /// Returns the project: the wildcard `-`, unless a full name with another project was parsed.
    pub fn project(&self) -> &str {
        &self.path[PROJECTS.len()..self.account - SERVICE_ACCOUNTS.len()]
    }

    /// Returns the full resource name: `projects/{project}/serviceAccounts/{account}`.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// Returns the name to send. Its project is the wildcard, because the API documents any other
    /// as invalid.
    pub(crate) fn into_wire(self) -> String {
        match self.project() {
            ANY_PROJECT => self.path.into(),
            _ => service_account_path(ANY_PROJECT, self.account()),
        }
    }

    /// Parses `text`. Errors name `field`.
    pub(crate) fn parse_field(text: &str, field: &'static str) -> Result<Self, Error> {
        let (project, account) = match parse_service_account_path(text) {
            Some(parts) => parts,
            None => (ANY_PROJECT, text),
        };
        let path = service_account_path(project, account);
        if let Err(expectation) = check_length(text, &path).and_then(|()| check_account(account)) {
            return Err(Error::invalid(field, format!("{expectation}, got {:?}", shorten(text))));
        }
        if !project.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':' | b'_')) {
            let expectation = format!("must have a legal project id or `-`, got {:?}", shorten(text));
            return Err(Error::invalid(field, expectation));
        }
        Ok(Self { path: path.into(), account: PROJECTS.len() + project.len() + SERVICE_ACCOUNTS.len() })
    }
}

impl AsRef<str> for ServiceAccountName {
    fn as_ref(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for ServiceAccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

impl fmt::Debug for ServiceAccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServiceAccountName").field(&self.path).finish()
    }
}

impl FromStr for ServiceAccountName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse_field(text, "name")
    }
}

impl TryFrom<&str> for ServiceAccountName {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<String> for ServiceAccountName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl Serialize for ServiceAccountName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.path)
    }
}

impl<'de> Deserialize<'de> for ServiceAccountName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Checks what was parsed, and the whole name that it stands for.
fn check_length(text: &str, path: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("must be an e-mail address, a numeric unique id or a full resource name")
    } else if path.len() > MAX_LEN {
        Err("must be at most 512 bytes long as a full resource name")
    } else {
        Ok(())
    }
}

fn check_account(account: &str) -> Result<(), &'static str> {
    const FORM: &str = "must be an e-mail address, a numeric unique id, or a name of the form \
                        projects/-/serviceAccounts/{account}";
    if account.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(());
    }
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+' | b'@');
    if !account.bytes().all(legal) {
        return Err(FORM);
    }
    match account.split_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() && !domain.contains('@') => Ok(()),
        _ => Err(FORM),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMAIL: &str = "sa@project.iam.gserviceaccount.com";

    /// conf: P63
    #[test]
    fn a_path_is_parsed_into_what_it_was_made_of() {
        for (project, account) in [("-", EMAIL), ("squid", "clam"), ("p-1", "1234567890")] {
            let path = service_account_path(project, account);
            assert_eq!(parse_service_account_path(&path), Some((project, account)), "{path}");
        }
    }

    /// conf: P63
    #[test]
    fn a_path_of_another_form_is_not_parsed() {
        for path in [
            "",
            EMAIL,
            "projects/-",
            "projects/-/serviceAccounts/",
            "projects//serviceAccounts/a",
            "projects/-/serviceaccounts/a",
            "projects/-/serviceAccounts/a/keys/1",
            "/projects/-/serviceAccounts/a",
            "folders/-/serviceAccounts/a",
        ] {
            assert_eq!(parse_service_account_path(path), None, "{path:?}");
        }
    }

    #[test]
    fn every_form_of_a_name_is_parsed_into_the_full_one() {
        for (text, path) in [
            (EMAIL.to_owned(), service_account_path("-", EMAIL)),
            ("115512345678901234567".to_owned(), service_account_path("-", "115512345678901234567")),
            (service_account_path("-", EMAIL), service_account_path("-", EMAIL)),
            (service_account_path("my-project", EMAIL), service_account_path("my-project", EMAIL)),
        ] {
            let name: ServiceAccountName = text.parse().unwrap();
            assert_eq!(name.as_str(), path);
            assert_eq!(name, name.to_string().parse().unwrap());
            assert_eq!(service_account_path(name.project(), name.account()), path);
        }
    }

    #[test]
    fn the_name_that_is_sent_has_the_wildcard_project() {
        let name: ServiceAccountName = service_account_path("my-project", EMAIL).parse().unwrap();
        assert_eq!(name.project(), "my-project");
        assert_eq!(name.into_wire(), service_account_path("-", EMAIL));
    }

    #[test]
    fn a_name_is_serialized_in_full_and_checked_when_deserialized() {
        let name: ServiceAccountName = serde_json::from_str(&format!("{EMAIL:?}")).unwrap();
        assert_eq!(name, ServiceAccountName::try_from(EMAIL.to_owned()).unwrap());
        let json = serde_json::to_string(&name).unwrap();
        assert_eq!(json, format!("{:?}", service_account_path("-", EMAIL)));
        assert_eq!(serde_json::from_str::<ServiceAccountName>(&json).unwrap(), name);
        let error = serde_json::from_str::<ServiceAccountName>(r#""a b""#).unwrap_err();
        assert!(error.to_string().contains("invalid `name`: must be an e-mail address"), "{error}");
    }

    #[test]
    fn an_invalid_name_is_refused_and_the_error_names_the_field() {
        let long = format!("{}@example.com", "a".repeat(MAX_LEN));
        for text in [
            "",
            " ",
            "sa",
            "sa@",
            "@domain",
            "a@b@c",
            "sa@example.com ",
            "sa@exa\nmple.com",
            "sä@example.com",
            "projects/-/serviceAccounts/sa",
            "projects/-/serviceAccounts/sa@example.com:signJwt",
            "projects/a b/serviceAccounts/sa@example.com",
            "serviceAccount:sa@example.com",
            "projects/-/serviceAccounts/sa@example.com?x=y",
            &long,
        ] {
            let error = ServiceAccountName::parse_field(text, "delegates[1]").unwrap_err();
            assert_eq!(error.field(), Some("delegates[1]"), "{text:?}");
            assert!(error.to_string().contains("delegates[1]"), "{error}");
            assert!(error.to_string().len() < 400, "{error}");
        }
    }
}
