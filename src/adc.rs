//! Finds and reads credential files.

mod credential_file;
mod found_file;
mod impersonated_service_account;
mod reader;

use std::path::Path;

use self::credential_file::CredentialFile;
use self::found_file::Environment;
use self::reader::{Purpose, Reader, default_scopes};
use crate::environment::{QUOTA_VARIABLE, UNIVERSE_VARIABLE};
use crate::host::{DEFAULT_UNIVERSE, HostPattern, Trust, check_universe};
use crate::scopes::check::checked_scopes;
use crate::source::SourceInfo;
use crate::{Credentials, Error, headers};

impl Credentials {
    /// Application default credentials: what the environment provides.
    ///
    /// Looks, in this order, at
    /// 1. the file that the variable `GOOGLE_APPLICATION_CREDENTIALS` names,
    /// 2. the well-known file of `gcloud auth application-default login`, in the folder that
    ///    `CLOUDSDK_CONFIG` names or in gcloud's usual one,
    /// 3. the metadata server, else the `gcloud` command: not before the first token is needed.
    ///
    /// A file may hold a service account's key (`service_account`), a user's login
    /// (`authorized_user`), or say how to act as a service account from credentials inside it
    /// (`impersonated_service_account`, up to eight in one another). [`builder`](Self::builder) has
    /// options; [`explain`](Self::explain) says what was chosen.
    ///
    /// # Errors
    ///
    /// A file that is found but cannot be used is an error that names it; no other identity is
    /// picked in its place. Nothing is sent.
    pub fn application_default() -> Result<Self, Error> {
        Self::builder().application_default()
    }

    /// Credentials from a credential file of any type that
    /// [`application_default`](Self::application_default) knows.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or used. Nothing is sent.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder().file(path)
    }

    /// Credentials from the content of a credential file of any type that
    /// [`application_default`](Self::application_default) knows.
    ///
    /// # Errors
    ///
    /// Where the content cannot be used. Nothing is sent.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        Self::builder().json(json)
    }

    /// Credentials from a service account's key file, and from no file of another type.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, or is not a usable key file. Nothing is sent.
    pub fn from_service_account_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = CredentialFile::read(path)?;
        Self::builder().read(&file, Some(path), NAMED, Reader::service_account)
    }

    /// Credentials from the content of a service account's key file.
    ///
    /// # Errors
    ///
    /// Where the content is not that of a usable key file. Nothing is sent.
    pub fn from_service_account_json(json: &str) -> Result<Self, Error> {
        let file = CredentialFile::parse(json.as_bytes(), "the key file's content")?;
        Self::builder().read(&file, None, HELD, Reader::service_account)
    }

    /// Credentials from a file or from the environment, with options.
    ///
    /// ```no_run
    /// use gcp_iam_credentials::{Credentials, scopes};
    ///
    /// let credentials = Credentials::builder().scopes([scopes::PUBSUB]).application_default()?;
    /// println!("{}", credentials.explain());
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    pub fn builder() -> CredentialsBuilder {
        CredentialsBuilder::new()
    }
}

const NAMED: &str = "the program names it";
const HELD: &str = "the program holds its content";

/// Finds or reads credentials, with options.
///
/// Made by [`Credentials::builder`]. Nothing is read or checked before
/// [`application_default`](Self::application_default), [`file`](Self::file) or [`json`](Self::json).
#[must_use = "a builder does nothing until it reads"]
#[derive(Clone, Debug)]
pub struct CredentialsBuilder {
    scopes: Option<Vec<String>>,
    universe_domain: Option<String>,
    quota_project: Option<String>,
    hosts: Vec<HostPattern>,
    /// `None` is that of the process.
    environment: Option<Environment>,
}

impl CredentialsBuilder {
    fn new() -> Self {
        Self {
            scopes: None,
            universe_domain: None,
            quota_project: None,
            hosts: Vec::new(),
            environment: None,
        }
    }

    /// What the tokens are good for. Default: the scopes that an `impersonated_service_account` file
    /// names, else [`CLOUD_PLATFORM`](crate::scopes::CLOUD_PLATFORM); a user's tokens have all that
    /// the user consented to.
    ///
    /// They are the scopes of the tokens in the end: the source of an impersonation keeps its own.
    /// The metadata server and `gcloud` do not go by them.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.scopes = Some(scopes.into_iter().map(|scope| scope.as_ref().to_owned()).collect());
        self
    }

    /// The universe, besides `googleapis.com`, that a file may belong to. Default: the variable
    /// `GOOGLE_CLOUD_UNIVERSE_DOMAIN`.
    pub fn universe_domain(mut self, domain: impl Into<String>) -> Self {
        self.universe_domain = Some(domain.into());
        self
    }

    /// The project that calls with the tokens are counted against (`x-goog-user-project`). Default:
    /// the variable `GOOGLE_CLOUD_QUOTA_PROJECT`, else the one that the file names, else none.
    ///
    /// The source of an impersonation keeps its own.
    pub fn quota_project(mut self, project: impl Into<String>) -> Self {
        self.quota_project = Some(project.into());
        self
    }

    /// Lets the URLs in a file lead to these hosts too, over https. Calls add up. Without it they
    /// may lead to hosts under `googleapis.com` and the
    /// [universe domain](Self::universe_domain), and to loopback addresses.
    ///
    /// A pattern is a host name, or `*.` before a domain for all hosts under it.
    pub fn allow_hosts(mut self, patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.hosts.extend(patterns.into_iter().map(|pattern| HostPattern::new(pattern.as_ref())));
        self
    }

    /// Application default credentials, as [`Credentials::application_default`] finds them.
    ///
    /// # Errors
    ///
    /// Where an option is wrong, or the file that is found cannot be used. Nothing is sent.
    pub fn application_default(self) -> Result<Credentials, Error> {
        let environment = self.environment();
        match environment.find() {
            Some(found) => {
                let file = CredentialFile::read(&found.path)?;
                self.read(&file, Some(&found.path), found.reason, Reader::credentials)
            }
            None => {
                let (_, scopes, quota_project) = self.settings(&environment)?;
                let info = quota_project.map(|project| SourceInfo::new().with_quota_project(project));
                machine(scopes.unwrap_or_else(default_scopes), info.unwrap_or_default())
            }
        }
    }

    /// Credentials from a file.
    ///
    /// # Errors
    ///
    /// Where an option is wrong, or the file cannot be read or used. Nothing is sent.
    pub fn file(self, path: impl AsRef<Path>) -> Result<Credentials, Error> {
        let path = path.as_ref();
        let file = CredentialFile::read(path)?;
        self.read(&file, Some(path), NAMED, Reader::credentials)
    }

    /// Credentials from a file's content.
    ///
    /// # Errors
    ///
    /// Where an option is wrong, or the content cannot be used. Nothing is sent.
    pub fn json(self, json: &str) -> Result<Credentials, Error> {
        let file = CredentialFile::parse(json.as_bytes(), "the credential file's content")?;
        self.read(&file, None, HELD, Reader::credentials)
    }

    fn read(
        self,
        file: &CredentialFile,
        path: Option<&Path>,
        reason: &'static str,
        read: impl Fn(&Reader, credential_file::Fields<'_>, Purpose<'_>) -> Result<Credentials, Error>,
    ) -> Result<Credentials, Error> {
        let (mut reader, scopes, quota_project) = self.settings(&self.environment())?;
        (reader.file, reader.reason) = (path.map(Path::to_owned), reason);
        let purpose = Purpose::Use { scopes: scopes.as_deref(), quota_project: quota_project.as_deref() };
        read(&reader, file.fields(), purpose)
    }

    fn environment(&self) -> Environment {
        self.environment.clone().unwrap_or_else(Environment::of_the_process)
    }

    /// The options, checked.
    #[expect(clippy::type_complexity, reason = "read by two neighbours alone")]
    fn settings(
        &self,
        environment: &Environment,
    ) -> Result<(Reader, Option<Box<[Box<str>]>>, Option<String>), Error> {
        let scopes = self.scopes.as_ref().map(checked_scopes).transpose()?;
        let scopes = scopes.map(|scopes| scopes.into_iter().map(Into::into).collect());
        let variables = environment.variables;

        let usual_universe = variables(UNIVERSE_VARIABLE);
        if let Some(domain) = &usual_universe {
            check_universe(domain, UNIVERSE_VARIABLE)?;
        }
        if let Some(domain) = &self.universe_domain {
            check_universe(domain, "universe_domain")?;
        }
        let usual_universe = usual_universe.unwrap_or_else(|| DEFAULT_UNIVERSE.to_owned());
        let universe = self.universe_domain.as_ref().unwrap_or(&usual_universe).as_str().into();
        let reader = Reader {
            trust: Trust { universe, hosts: self.hosts.clone() },
            usual_universe: usual_universe.into(),
            file: None,
            reason: HELD,
            variables,
        };

        let quota_project = match (&self.quota_project, variables(QUOTA_VARIABLE)) {
            (Some(project), _) => Some((project.clone(), "quota_project")),
            (None, Some(project)) => Some((project, QUOTA_VARIABLE)),
            (None, None) => None,
        };
        if let Some((project, field)) = &quota_project {
            headers::quota_project(project, field)?;
        }
        Ok((reader, scopes, quota_project.map(|(project, _)| project)))
    }
}

#[cfg(feature = "gcp-auth")]
fn machine(scopes: Box<[Box<str>]>, info: SourceInfo) -> Result<Credentials, Error> {
    Ok(Credentials::from_source(crate::source::MetadataOrGcloud::new(scopes.into(), info)))
}

#[allow(clippy::boxed_local, reason = "its twin keeps them")]
#[cfg(not(feature = "gcp-auth"))]
fn machine(_scopes: Box<[Box<str>]>, _info: SourceInfo) -> Result<Credentials, Error> {
    let expectation =
        "must be set up: no credential file was found, and this build has no metadata server support";
    Err(Error::invalid("credentials", expectation).fix_by(
        "set GOOGLE_APPLICATION_CREDENTIALS to a credential file, or enable the feature gcp-auth of gcp-iam-credentials",
    ))
}

#[cfg(test)]
mod tests;
