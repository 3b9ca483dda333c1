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
    /// Creates application default credentials: those that the environment provides. Sends
    /// nothing.
    ///
    /// The first of these that exists is used:
    ///
    /// 1. the file that the variable `GOOGLE_APPLICATION_CREDENTIALS` names,
    /// 2. the file that `gcloud auth application-default login` writes, in the folder that
    ///    `CLOUDSDK_CONFIG` names or in gcloud's usual folder,
    /// 3. the metadata server, or else the `gcloud` command. They are asked when the first token is
    ///    needed.
    ///
    /// A file contains a service account's key (`service_account`), a user's login
    /// (`authorized_user`), or an impersonation of a service account with the source credentials
    /// (`impersonated_service_account`, up to eight in one another).
    ///
    /// To set options, use [`builder`](Self::builder). To see what was chosen, use
    /// [`explain`](Self::explain).
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if a file is found but can't be used. The error names the file. The
    /// next place in the list is not tried then, because it may have another identity.
    ///
    /// ```no_run
    /// use gcp_iam_credentials::Credentials;
    ///
    /// let credentials = Credentials::application_default()?;
    /// println!("{}", credentials.explain());
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    pub fn application_default() -> Result<Self, Error> {
        Self::builder().application_default()
    }

    /// Creates credentials from a credential file of any type that
    /// [`application_default`](Self::application_default) knows. Sends nothing.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if the file can't be read or used.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder().file(path)
    }

    /// Creates credentials from the content of a credential file of any type that
    /// [`application_default`](Self::application_default) knows. Sends nothing.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if the content can't be used.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        Self::builder().json(json)
    }

    /// Creates credentials from a service account's key file. Accepts no other type of file, and
    /// sends nothing.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if the file can't be read or isn't a usable key file.
    pub fn from_service_account_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = CredentialFile::read(path)?;
        Self::builder().read(&file, Some(path), NAMED, Reader::service_account)
    }

    /// Creates credentials from the content of a service account's key file. Accepts no other type
    /// of file, and sends nothing.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if the content isn't that of a usable key file.
    pub fn from_service_account_json(json: &str) -> Result<Self, Error> {
        let file = CredentialFile::parse(json.as_bytes(), "the key file's content")?;
        Self::builder().read(&file, None, HELD, Reader::service_account)
    }

    /// Returns a builder, which creates credentials from a file or from the environment, with
    /// options.
    pub fn builder() -> CredentialsBuilder {
        CredentialsBuilder::new()
    }
}

const NAMED: &str = "the program names it";
const HELD: &str = "the program holds its content";

/// Creates [`Credentials`] from a file or from the environment, with options. Made by
/// [`Credentials::builder`].
///
/// Nothing is read or checked before [`application_default`](Self::application_default),
/// [`file`](Self::file) or [`json`](Self::json) is called.
///
/// ```no_run
/// use gcp_iam_credentials::{Credentials, scopes};
///
/// let credentials = Credentials::builder()
///     .scopes([scopes::PUBSUB])
///     .quota_project("billing-project")
///     .application_default()?;
/// # Ok::<(), gcp_iam_credentials::Error>(())
/// ```
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

    /// Sets the scopes of the tokens. Default: the scopes in an `impersonated_service_account`
    /// file, or else [`CLOUD_PLATFORM`](crate::scopes::CLOUD_PLATFORM). A user's tokens have all
    /// scopes that the user consented to.
    ///
    /// For an impersonation, these are the scopes of the target's tokens. The metadata server and
    /// `gcloud` ignore them.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.scopes = Some(scopes.into_iter().map(|scope| scope.as_ref().to_owned()).collect());
        self
    }

    /// Sets the universe, besides `googleapis.com`, that a file may belong to. Default: the variable
    /// `GOOGLE_CLOUD_UNIVERSE_DOMAIN`, or else none.
    pub fn universe_domain(mut self, domain: impl Into<String>) -> Self {
        self.universe_domain = Some(domain.into());
        self
    }

    /// Sets the quota project: the project that requests with the tokens are counted against
    /// (`x-goog-user-project`). Default: the variable `GOOGLE_CLOUD_QUOTA_PROJECT`, or else the
    /// project in the file, or else none.
    ///
    /// For an impersonation, it applies to requests with the target's tokens.
    pub fn quota_project(mut self, project: impl Into<String>) -> Self {
        self.quota_project = Some(project.into());
        self
    }

    /// Allows the URLs in a file to name these hosts too, over https. Several calls add up.
    /// Default: only hosts under `googleapis.com` and the [universe domain](Self::universe_domain),
    /// and loopback addresses.
    ///
    /// A pattern is a host name. With `*.` in front of a domain it stands for all hosts under that
    /// domain.
    pub fn allow_hosts(mut self, patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.hosts.extend(patterns.into_iter().map(|pattern| HostPattern::new(pattern.as_ref())));
        self
    }

    /// Creates application default credentials, as [`Credentials::application_default`] does.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if an option is invalid, or if the file that is found can't be used.
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

    /// Creates credentials from a file, as [`Credentials::from_file`] does.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if an option is invalid, or if the file can't be read or used.
    pub fn file(self, path: impl AsRef<Path>) -> Result<Credentials, Error> {
        let path = path.as_ref();
        let file = CredentialFile::read(path)?;
        self.read(&file, Some(path), NAMED, Reader::credentials)
    }

    /// Creates credentials from a file's content, as [`Credentials::from_json`] does.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if an option is invalid, or if the content can't be used.
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
