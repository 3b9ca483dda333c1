//! Finds and reads credential files.

mod file;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::file::CredentialFile;
use crate::{Credentials, Error, scopes};

const FILE_VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const WELL_KNOWN_FILE: &str = "application_default_credentials.json";

impl Credentials {
    /// Application default credentials: what the environment provides.
    ///
    /// Looks, in this order, at
    /// 1. the file that the variable `GOOGLE_APPLICATION_CREDENTIALS` names,
    /// 2. the well-known file of `gcloud auth application-default login`, in the folder that
    ///    `CLOUDSDK_CONFIG` names or in gcloud's usual one,
    /// 3. the metadata server, else the `gcloud` command: not before the first token is needed.
    ///
    /// The scope is [`CLOUD_PLATFORM`](scopes::CLOUD_PLATFORM).
    ///
    /// # Errors
    ///
    /// A file that is found but cannot be used is an error that names it; no other identity is
    /// picked in its place. Nothing is sent.
    pub fn application_default() -> Result<Self, Error> {
        Environment::of_the_process().credentials()
    }

    /// Credentials from a service account's key file.
    ///
    /// The scope is [`CLOUD_PLATFORM`](scopes::CLOUD_PLATFORM).
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, or is not a usable key file. Nothing is sent.
    pub fn from_service_account_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        CredentialFile::read(path.as_ref())?.service_account(&default_scopes())
    }

    /// Credentials from the content of a service account's key file.
    ///
    /// The scope is [`CLOUD_PLATFORM`](scopes::CLOUD_PLATFORM).
    ///
    /// # Errors
    ///
    /// Where the content is not that of a usable key file. Nothing is sent.
    pub fn from_service_account_json(json: &str) -> Result<Self, Error> {
        CredentialFile::parse(json.as_bytes(), "the key file's content")?.service_account(&default_scopes())
    }
}

fn default_scopes() -> Arc<[Box<str>]> {
    Arc::new([scopes::CLOUD_PLATFORM.into()])
}

/// What the search for credentials depends on.
struct Environment {
    file: Option<PathBuf>,
    /// The folder in which gcloud keeps the well-known file.
    gcloud: Option<PathBuf>,
    /// Whether `gcloud` is where gcp_auth looks for it.
    usual_place: bool,
}

impl Environment {
    fn of_the_process() -> Self {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let moved = path("CLOUDSDK_CONFIG");
        let usual = if cfg!(windows) {
            path("APPDATA").map(|folder| folder.join("gcloud"))
        } else {
            path("HOME").map(|folder| folder.join(".config/gcloud"))
        };
        Self { file: path(FILE_VARIABLE), usual_place: moved.is_none(), gcloud: moved.or(usual) }
    }

    fn credentials(self) -> Result<Credentials, Error> {
        if let Some(path) = &self.file {
            return CredentialFile::read(path)?.credentials(&default_scopes());
        }
        let well_known = self.gcloud.map(|folder| folder.join(WELL_KNOWN_FILE));
        match well_known.filter(|path| path.exists()) {
            Some(path) => {
                let file = CredentialFile::read(&path)?;
                if self.usual_place {
                    file.well_known(&default_scopes())
                } else {
                    file.credentials(&default_scopes())
                }
            }
            None => machine(),
        }
    }
}

#[cfg(feature = "gcp-auth")]
fn machine() -> Result<Credentials, Error> {
    Ok(Credentials::from_source(crate::source::MachineSource::new(default_scopes())))
}

#[cfg(not(feature = "gcp-auth"))]
fn machine() -> Result<Credentials, Error> {
    Err(Error::invalid(
        "credentials",
        "were not found: no credential file is set up, and the crate was built without its feature gcp-auth",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(file: Option<&Path>, gcloud: Option<&Path>) -> Environment {
        Environment { file: file.map(Path::to_owned), gcloud: gcloud.map(Path::to_owned), usual_place: true }
    }

    /// conf: M34
    #[test]
    fn a_file_that_cannot_be_used_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let well_known = folder.path().join(WELL_KNOWN_FILE);
        for content in ["", "{", "[]", "{}", r#"{"type":"authorized_user"}"#, r#"{"type":"hidden"}"#] {
            std::fs::write(&well_known, content).unwrap();
            for environment in [environment(None, Some(folder.path())), environment(Some(&well_known), None)]
            {
                let error = environment.credentials().unwrap_err();
                assert!(error.to_string().contains(WELL_KNOWN_FILE), "{content:?}: {error}");
                assert!(!error.is_transient());
            }
        }
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.json");
        let error = environment(Some(&missing), None).credentials().unwrap_err();
        assert!(error.to_string().contains("missing.json"), "{error}");
    }

    #[cfg(feature = "gcp-auth")]
    #[test]
    fn without_any_file_the_machine_is_asked_later() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = environment(None, Some(folder.path())).credentials().unwrap();
        assert!(!credentials.is_valid());
    }
}
