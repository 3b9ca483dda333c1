//! Resource names of service accounts.

use std::fmt;
use std::str::FromStr;

use crate::Error;

const PROJECTS: &str = "projects/";
const SERVICE_ACCOUNTS: &str = "/serviceAccounts/";

/// The project in every name that the API accepts: it finds the account's project itself.
const ANY_PROJECT: &str = "-";

/// The most bytes a name may have; longer ones are refused before the wire.
const MAX_LEN: usize = 512;

/// Writes the resource name of a service account: `projects/{project}/serviceAccounts/{account}`.
///
/// The API accepts only the wildcard `-` as the project. Nothing is checked here; parse the result
/// as a [`ServiceAccountName`] for that.
///
/// ```
/// use gcp_iam_credentials::service_account_path;
///
/// let path = service_account_path("-", "sa@project.iam.gserviceaccount.com");
/// assert_eq!(path, "projects/-/serviceAccounts/sa@project.iam.gserviceaccount.com");
/// ```
pub fn service_account_path(project: &str, account: &str) -> String {
    [PROJECTS, project, SERVICE_ACCOUNTS, account].concat()
}

/// Splits a resource name into project and account: the inverse of [`service_account_path`].
///
/// `None` where `path` is not of that form.
///
/// ```
/// use gcp_iam_credentials::parse_service_account_path;
///
/// let path = "projects/-/serviceAccounts/sa@project.iam.gserviceaccount.com";
/// assert_eq!(parse_service_account_path(path), Some(("-", "sa@project.iam.gserviceaccount.com")));
/// assert_eq!(parse_service_account_path("projects/p/topics/t"), None);
/// ```
pub fn parse_service_account_path(path: &str) -> Option<(&str, &str)> {
    let (project, account) = path.strip_prefix(PROJECTS)?.split_once(SERVICE_ACCOUNTS)?;
    let whole = |part: &str| !part.is_empty() && !part.contains('/');
    (whole(project) && whole(account)).then_some((project, account))
}

/// The checked name of a service account.
///
/// Parsed from an e-mail address, from the account's numeric unique id, or from a full resource
/// name. Shown as the full resource name.
///
/// ```
/// use gcp_iam_credentials::ServiceAccountName;
///
/// let name: ServiceAccountName = "sa@project.iam.gserviceaccount.com".parse()?;
/// assert_eq!(name.to_string(), "projects/-/serviceAccounts/sa@project.iam.gserviceaccount.com");
/// assert_eq!(name.account(), "sa@project.iam.gserviceaccount.com");
/// # Ok::<(), gcp_iam_credentials::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceAccountName {
    path: Box<str>,
    /// Where the account starts in `path`.
    account: usize,
}

impl ServiceAccountName {
    /// The e-mail address or the numeric unique id.
    pub fn account(&self) -> &str {
        &self.path[self.account..]
    }

    /// The project as given: `-`, the wildcard, unless a full name said otherwise.
    pub fn project(&self) -> &str {
        &self.path[PROJECTS.len()..self.account - SERVICE_ACCOUNTS.len()]
    }

    /// The full resource name, `projects/{project}/serviceAccounts/{account}`.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// The name to send: with the wildcard in place of any project, since the API documents a
    /// project there as invalid.
    pub(crate) fn into_wire(self) -> String {
        match self.project() {
            ANY_PROJECT => self.path.into(),
            _ => service_account_path(ANY_PROJECT, self.account()),
        }
    }

    /// Parses `text`; an error says that the name came in as `field`.
    pub(crate) fn parse_field(text: &str, field: &'static str) -> Result<Self, Error> {
        let (project, account) = match parse_service_account_path(text) {
            Some(parts) => parts,
            None => (ANY_PROJECT, text),
        };
        if let Err(problem) = check_length(text).and_then(|()| check_account(account)) {
            return Err(Error::invalid(field, format!("{:?} {problem}", shorten(text))));
        }
        if !project.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':' | b'_')) {
            return Err(Error::invalid(field, format!("{:?} has an illegal project", shorten(text))));
        }
        Ok(Self {
            path: service_account_path(project, account).into(),
            account: PROJECTS.len() + project.len() + SERVICE_ACCOUNTS.len(),
        })
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

fn check_length(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("is empty: give an e-mail address, a numeric unique id or a full resource name")
    } else if text.len() > MAX_LEN {
        Err("is too long for a service account's name")
    } else {
        Ok(())
    }
}

fn check_account(account: &str) -> Result<(), &'static str> {
    const FORM: &str = "is neither an e-mail address, a numeric unique id, nor a name of the form \
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

/// Keeps an error readable when the input is not.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 120;
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(SHOWN).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMAIL: &str = "sa@project.iam.gserviceaccount.com";

    /// conf: P63
    #[test]
    fn the_path_helper_and_its_parser_are_inverse() {
        for (project, account) in [("-", EMAIL), ("squid", "clam"), ("p-1", "1234567890")] {
            let path = service_account_path(project, account);
            assert_eq!(parse_service_account_path(&path), Some((project, account)), "{path}");
        }
    }

    /// conf: P63
    #[test]
    fn a_path_of_another_form_does_not_parse() {
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
    fn every_form_of_a_name_becomes_the_full_one() {
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
    fn the_wire_always_gets_the_wildcard_project() {
        let name: ServiceAccountName = service_account_path("my-project", EMAIL).parse().unwrap();
        assert_eq!(name.project(), "my-project");
        assert_eq!(name.into_wire(), service_account_path("-", EMAIL));
    }

    #[test]
    fn a_bad_name_is_refused_with_its_field() {
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
