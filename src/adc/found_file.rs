//! Where application default credentials are looked for.

use std::io;
use std::path::PathBuf;

use crate::environment::variable;

const FILE_VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const FOLDER_VARIABLE: &str = "CLOUDSDK_CONFIG";
pub(super) const WELL_KNOWN_FILE: &str = "application_default_credentials.json";

/// What the search for credentials depends on.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    /// The file that is named outright.
    pub(super) file: Option<PathBuf>,
    /// The folder in which gcloud keeps the well-known file, where it is named.
    pub(super) named_folder: Option<PathBuf>,
    /// Where gcloud keeps it otherwise.
    pub(super) usual_folder: Option<PathBuf>,
    /// All other variables.
    pub(super) variables: fn(&str) -> Option<String>,
}

/// A file that was found, and why it is the one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) reason: &'static str,
}

impl Environment {
    pub(super) fn of_the_process() -> Self {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let usual_folder = if cfg!(windows) {
            path("APPDATA").map(|folder| folder.join("gcloud"))
        } else {
            path("HOME").map(|folder| folder.join(".config/gcloud"))
        };
        Self {
            file: path(FILE_VARIABLE),
            named_folder: path(FOLDER_VARIABLE),
            usual_folder,
            variables: variable,
        }
    }

    /// The credential file to use, or `None` where there is none. It is not opened, so it may turn
    /// out to be of no use; another one is then not looked for.
    pub(super) fn find(&self) -> Option<Found> {
        if let Some(path) = &self.file {
            let reason = "GOOGLE_APPLICATION_CREDENTIALS names it";
            return Some(Found { path: path.clone(), reason });
        }
        let (folder, named, reason) = match (&self.named_folder, &self.usual_folder) {
            (Some(folder), _) => {
                let reason = "it is gcloud's own file (CLOUDSDK_CONFIG names the folder), and \
                              GOOGLE_APPLICATION_CREDENTIALS is not set";
                (folder, true, reason)
            }
            (None, Some(folder)) => {
                let reason = "it is gcloud's own file, and GOOGLE_APPLICATION_CREDENTIALS is not set";
                (folder, false, reason)
            }
            (None, None) => return None,
        };
        let path = folder.join(WELL_KNOWN_FILE);
        let found = match path.symlink_metadata() {
            Ok(_) => true,
            // A home that is closed to the program has no login for it; a folder that somebody
            // named is another matter.
            Err(error) => {
                named && !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            }
        };
        found.then_some(Found { path, reason })
    }
}
