//! The impersonation that a credential file describes, for more than access tokens.

use std::path::Path;

use super::credential_file::{CredentialFile, Fields, read_content};
use super::file_source::FileSource;
use super::found_file::FoundFile;
use super::reader::{Purpose, Reader};
use super::{PROGRAM_HAS_CONTENT, PROGRAM_NAMES_FILE};
use crate::credentials::CredentialsBuilder;
use crate::{Credentials, Error, Impersonation};

const IMPERSONATED: &str = "impersonated_service_account";
const EXTERNAL: &str = "external_account";

impl Impersonation {
    /// Reads the impersonation in a credential file: an `impersonated_service_account`, or an
    /// `external_account` that impersonates an account.
    ///
    /// [`Credentials::from_file`](crate::Credentials::from_file) gives access tokens of that account.
    /// The impersonation also gives ID tokens, self-signed JWTs and a signer of the account, from the
    /// same source. The file's delegates, lifetime and quota project apply, and its scopes don't. If the
    /// file is replaced while the program runs, its new source is used; the account stays the same.
    /// [`Credentials::builder`](crate::Credentials::builder) has options:
    /// [`file_impersonation`](CredentialsBuilder::file_impersonation).
    ///
    /// ```no_run
    /// use gcp_iam_credentials::Impersonation;
    ///
    /// let deployer = Impersonation::from_file("github-actions.json")?;
    /// let caller = deployer.id_token("https://my-service.run.app")?;
    /// let signer = deployer.signer()?;
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the file can't be read or used, or if it impersonates no account. Nothing is
    /// sent.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Credentials::builder().file_impersonation(path)
    }

    /// Finds the impersonation in application default credentials. They must be a file: see
    /// [`Credentials::application_default`](crate::Credentials::application_default).
    ///
    /// # Errors
    ///
    /// Like [`from_file`](Self::from_file). Also `InvalidInput` if there is no file.
    pub fn application_default() -> Result<Self, Error> {
        Credentials::builder().application_default_impersonation()
    }
}

impl CredentialsBuilder {
    /// Reads the impersonation in a credential file, like [`Impersonation::from_file`].
    /// [`scopes`](Self::scopes) have no effect on it.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if an option is invalid, if the file can't be read or used, or if it
    /// impersonates no account. Nothing is sent.
    pub fn file_impersonation(self, path: impl AsRef<Path>) -> Result<Impersonation, Error> {
        self.impersonation_in_file(path.as_ref(), PROGRAM_NAMES_FILE)
    }

    /// Reads the impersonation in the content of a credential file, like
    /// [`file_impersonation`](Self::file_impersonation).
    ///
    /// # Errors
    ///
    /// Like [`file_impersonation`](Self::file_impersonation).
    pub fn json_impersonation(self, json: &str) -> Result<Impersonation, Error> {
        let file = CredentialFile::parse(json.as_bytes(), "the credential file's content")?;
        let reader = self.reader(None, PROGRAM_HAS_CONTENT)?;
        let source = reader.source_in_file(file.fields(), Purpose::Program)?;
        reader.impersonation_in_file(file.fields(), source)
    }

    /// Finds the impersonation in application default credentials, like
    /// [`Impersonation::application_default`].
    ///
    /// # Errors
    ///
    /// Like [`file_impersonation`](Self::file_impersonation). Also `InvalidInput` if there is no file.
    pub fn application_default_impersonation(self) -> Result<Impersonation, Error> {
        let Some(found) = FoundFile::search(&self.environment()) else {
            let expectation = "must be in a file that impersonates an account, but no file was found";
            let advice = "set GOOGLE_APPLICATION_CREDENTIALS to a credential file";
            return Err(Error::invalid("credentials", expectation).fix_by(advice));
        };
        self.impersonation_in_file(&found.path, found.reason)
    }

    fn impersonation_in_file(self, path: &Path, reason: &'static str) -> Result<Impersonation, Error> {
        let content = read_content(path)?;
        let file = CredentialFile::parse(&content, &path.display().to_string())?;
        let following = self.clone().reader(Some(path), reason)?;
        let source = FileSource::credentials(following, Reader::source_in_file, path, content)?;
        self.reader(Some(path), reason)?.impersonation_in_file(file.fields(), source)
    }
}

impl Reader {
    /// Reads the credentials that impersonate the account in the file.
    fn source_in_file(&self, fields: Fields<'_>, purpose: Purpose) -> Result<Credentials, Error> {
        match (fields.text("type")?, self.optional_target(fields)?) {
            (IMPERSONATED, _) => self.source_of_account(fields, purpose),
            #[cfg(feature = "credential-files")]
            (EXTERNAL, Some(target)) => self.federated_source(fields, &target),
            (EXTERNAL, None) => {
                let expectation = "must name the account to impersonate, got nothing";
                Err(fields.invalid("service_account_impersonation_url", expectation))
            }
            _ => {
                // The type gets the checks, and the error, that it always gets.
                self.credentials(fields, purpose)?;
                Err(fields.invalid("type", "must be a type that impersonates an account"))
            }
        }
    }

    /// Reads the impersonation in the file, whose source has been read.
    fn impersonation_in_file(&self, fields: Fields<'_>, source: Credentials) -> Result<Impersonation, Error> {
        match self.optional_target(fields)? {
            #[cfg(feature = "credential-files")]
            Some(target) if fields.text("type")? == EXTERNAL => {
                self.impersonation_by_federated(fields, Purpose::Program, &target, source)
            }
            _ => self.impersonation_of_account(fields, Purpose::Program, source),
        }
    }
}
