//! Application default credentials: finds and reads credential files.

mod clients;
mod credential_file;
#[cfg(feature = "credential-files")]
mod external_account;
mod file_source;
mod found_file;
mod identity;
mod impersonated_service_account;
mod impersonation_in_file;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod reader;
mod settings;
mod target;
#[cfg(feature = "credential-files")]
mod workforce_user;

use std::path::Path;

use self::credential_file::{CredentialFile, read_content};
use self::file_source::FileSource;
use self::found_file::FoundFile;
use self::reader::{Purpose, Read, Reader};
use self::settings::Settings;
use crate::credentials::CredentialsBuilder;
use crate::environment::Environment;
use crate::{Credentials, Error};

impl Credentials {
    /// Finds application default credentials: those that the environment provides.
    ///
    /// It looks for them in this order:
    /// 1. the file that the variable `GOOGLE_APPLICATION_CREDENTIALS` names,
    /// 2. the file that `gcloud auth application-default login` writes, in the folder that the
    ///    variable `CLOUDSDK_CONFIG` names, else in gcloud's default folder,
    /// 3. the metadata server, then the `gcloud` command (feature `gcp-auth`). They are asked when
    ///    the first token is needed.
    ///
    /// The file contains a service account's key (`service_account`), a user's login
    /// (`authorized_user`), a person's sign-in with a workforce pool
    /// (`external_account_authorized_user`), the account to impersonate and the credentials to do so
    /// with (`impersonated_service_account`, nested up to eight times), or a federated identity
    /// (`external_account`): a workload outside Google Cloud or a person of a workforce pool, whose
    /// tokens of another platform are exchanged for Google's. If it is replaced while the program
    /// runs, the new content is used: see [`from_file`](Self::from_file). [`builder`](Self::builder) has
    /// options, and [`explain`](Self::explain) says what was found.
    ///
    /// An `external_account` file may name a client certificate (X.509). Google's services see it on
    /// connections of these credentials alone. It is read for each exchange, and for calls to the API
    /// at most once a minute.
    ///
    /// An `external_account` file may name a command. It is run only if the variable
    /// `GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES` is `1`, without a shell, for as long as the
    /// file says (30 s by default, at most 120 s).
    ///
    /// ```no_run
    /// use gcp_iam_credentials::Credentials;
    ///
    /// let credentials = Credentials::application_default()?;
    /// println!("{}", credentials.explain());
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a file is found that can't be used: no other identity is tried. Nothing is
    /// sent.
    pub fn application_default() -> Result<Self, Error> {
        Self::builder().application_default()
    }

    /// Reads a credential file of any type that
    /// [`application_default`](Self::application_default) supports.
    ///
    /// The file may be replaced while the program runs, by another key or a new login: the next fetch
    /// uses it, and so does the first call after a failure. While the file is missing or can't be
    /// used, the credentials from before stay. If it names another principal than before, that is
    /// logged, and [`explain`](Self::explain) and [`status`](Self::status) say so. Only its universe
    /// domain can't change.
    ///
    /// ```no_run
    /// use gcp_iam_credentials::Credentials;
    ///
    /// let credentials = Credentials::from_file("adc.json")?;
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the file can't be read or used. Nothing is sent.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder().file(path)
    }

    /// Reads the content of a credential file of any type that
    /// [`application_default`](Self::application_default) supports.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the content can't be used. Nothing is sent.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        Self::builder().json(json)
    }

    /// Reads a service account's key file, and no file of another type.
    ///
    /// ```no_run
    /// use gcp_iam_credentials::Credentials;
    ///
    /// let credentials = Credentials::from_service_account_file("key.json")?;
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the file can't be read, or isn't a usable key file. Nothing is sent.
    pub fn from_service_account_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder().read_file(path.as_ref(), PROGRAM_NAMES_FILE, Reader::service_account)
    }

    /// Reads the content of a service account's key file, and of no file of another type.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the content isn't that of a usable key file. Nothing is sent.
    pub fn from_service_account_json(json: &str) -> Result<Self, Error> {
        let file = CredentialFile::parse(json.as_bytes(), "the key file's content")?;
        Self::builder().read_json(&file, Reader::service_account)
    }
}

/// Returns the application default credentials of a client in this universe.
pub(crate) fn of_client(universe: &str) -> Result<Credentials, Error> {
    Credentials::builder().universe_domain(universe).application_default()
}

/// Why a file is used, for [`Credentials::explain`].
const PROGRAM_NAMES_FILE: &str = "the program names it";
const PROGRAM_HAS_CONTENT: &str = "the program contains its content";

impl CredentialsBuilder {
    /// Finds application default credentials, like [`Credentials::application_default`].
    ///
    /// # Errors
    ///
    /// `InvalidInput` if an option is invalid, or if a file is found that can't be used. Nothing is
    /// sent.
    pub fn application_default(self) -> Result<Credentials, Error> {
        let environment = self.environment();
        match FoundFile::search(&environment) {
            Some(found) => self.read_file(&found.path, found.reason, Reader::credentials),
            None => without_file(Settings::new(self, &environment)?),
        }
    }

    /// Reads a credential file.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if an option is invalid, or if the file can't be read or used. Nothing is
    /// sent.
    pub fn file(self, path: impl AsRef<Path>) -> Result<Credentials, Error> {
        self.read_file(path.as_ref(), PROGRAM_NAMES_FILE, Reader::credentials)
    }

    /// Reads the content of a credential file.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if an option is invalid, or if the content can't be used. Nothing is sent.
    pub fn json(self, json: &str) -> Result<Credentials, Error> {
        let file = CredentialFile::parse(json.as_bytes(), "the credential file's content")?;
        self.read_json(&file, Reader::credentials)
    }

    fn read_file(self, path: &Path, reason: &'static str, read: Read) -> Result<Credentials, Error> {
        let content = read_content(path)?;
        FileSource::credentials(self.reader(Some(path), reason)?, read, path, content)
    }

    fn read_json(self, file: &CredentialFile, read: Read) -> Result<Credentials, Error> {
        read(&self.reader(None, PROGRAM_HAS_CONTENT)?, file.fields(), Purpose::Program)
    }

    fn reader(self, path: Option<&Path>, reason: &'static str) -> Result<Reader, Error> {
        let environment = self.environment();
        let settings = Settings::new(self, &environment)?;
        Ok(Reader { settings, path: path.map(Path::to_owned), reason })
    }

    fn environment(&self) -> Environment {
        self.environment.clone().unwrap_or_else(Environment::of_process)
    }
}

/// Creates the credentials that are used if there is no file.
#[cfg(feature = "gcp-auth")]
fn without_file(settings: Settings) -> Result<Credentials, Error> {
    use crate::source::{MetadataOrGcloud, SourceInfo, TokenKind};

    let info = SourceInfo::new().with_token_kind(TokenKind::AccessToken);
    let info = match settings.quota_project {
        Some(project) => info.with_quota_project(project),
        None => info,
    };
    let scopes = settings.scopes.unwrap_or_else(reader::default_scopes);
    Ok(Credentials::from_source(MetadataOrGcloud::new(scopes, info)))
}

#[cfg(not(feature = "gcp-auth"))]
fn without_file(_settings: Settings) -> Result<Credentials, Error> {
    let expectation =
        "must be in a file, because this build can't ask the metadata server, but no file was found";
    Err(Error::invalid("credentials", expectation).fix_by(
        "set GOOGLE_APPLICATION_CREDENTIALS to a credential file, or enable the feature gcp-auth of \
         gcp-iam-credentials",
    ))
}

#[cfg(test)]
mod tests;
