//! Credential files that are replaced while the program runs.
#![cfg(all(feature = "credential-files", feature = "_tls"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod files;
mod random_writers;

use std::path::PathBuf;

use gcp_iam_credentials::Credentials;
use tempfile::TempDir;

use crate::support::log_capture::LogCapture;

/// A credential file in a folder of its own.
struct CredentialFile {
    folder: TempDir,
    path: PathBuf,
}

impl CredentialFile {
    fn new(content: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adc.json");
        let file = Self { folder, path };
        file.write(content);
        file
    }

    fn write(&self, content: &str) {
        std::fs::write(&self.path, content).unwrap();
    }

    fn read(&self) -> Credentials {
        Credentials::from_file(&self.path).unwrap()
    }

    /// Returns the warnings about this file.
    fn warnings(&self, log: &LogCapture) -> Vec<String> {
        let path = self.path.display().to_string();
        let is_warning = |line: &&str| line.contains("WARN") && line.contains(&path);
        log.text().lines().filter(is_warning).map(str::to_owned).collect()
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
