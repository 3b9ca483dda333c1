//! The search for a credential file.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::environment::Environment;

pub(super) const GCLOUD_FILE: &str = "application_default_credentials.json";

/// A credential file, and why it is used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FoundFile {
    pub(super) path: PathBuf,
    pub(super) reason: &'static str,
}

impl FoundFile {
    /// Returns the credential file to use, or `None` if there is none.
    ///
    /// The file isn't opened. If it later turns out to be unusable, no other one is tried.
    pub(super) fn search(environment: &Environment) -> Option<Self> {
        if let Some(path) = &environment.credential_file {
            let reason = "GOOGLE_APPLICATION_CREDENTIALS names it";
            return Some(Self { path: path.clone(), reason });
        }
        match (&environment.chosen_folder, &environment.default_folder) {
            (Some(folder), _) => {
                let path = folder.join(GCLOUD_FILE);
                let reason = "gcloud stores its login there (CLOUDSDK_CONFIG names the folder), and \
                              GOOGLE_APPLICATION_CREDENTIALS is not set";
                // If the folder can't be read, its file is an error that the user must see.
                may_exist(&path).then_some(Self { path, reason })
            }
            (None, Some(folder)) => {
                let path = folder.join(GCLOUD_FILE);
                let reason = "gcloud stores its login there, and GOOGLE_APPLICATION_CREDENTIALS is not set";
                // A home folder that this program can't read contains no login for it.
                path.symlink_metadata().is_ok().then_some(Self { path, reason })
            }
            (None, None) => None,
        }
    }
}

/// Returns false only if there is certainly no such file.
fn may_exist(path: &std::path::Path) -> bool {
    match path.symlink_metadata() {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}
