//! Whose tokens the source gives, told without asking anybody.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gcp_iam_credentials::Credentials;
use serde_json::Value;

use super::{EMULATOR_VARIABLE, SourceArguments};
use crate::failure::Failure;
use crate::token_cache::Digest;

/// Variables with another address of the metadata server: it may be another server the next time.
const METADATA_VARIABLES: [&str; 3] = ["GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT"];

/// What decides whose tokens the source gives: a hash of all secrets, files and variables that it uses. Equal
/// ones give tokens of the same principal, and nothing was replaced in between.
#[derive(Clone)]
pub(crate) struct SourceIdentity {
    parts: Digest,
    stamps: Vec<Stamp>,
}

/// What changes whenever a file is written or replaced, even by the same content.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp(PathBuf, Option<(u64, i64, i64, SystemTime)>);

impl SourceArguments {
    /// Returns whose tokens the source gives; `None` if only a request can tell. Sends nothing.
    ///
    /// It can be told for a source token, and for credential files: keys, logins, impersonations, and
    /// federated identities whose subject token is in a file. On Linux, it can be told for the metadata
    /// server at its usual address and for `gcloud`, by the machine's start, its network and gcloud's
    /// settings. It can't for other federated identities.
    pub(crate) fn identity(&self) -> Result<Option<SourceIdentity>, Failure> {
        let identity = SourceIdentity::new(self.server_parts());
        if self.source_token_file.as_deref() == Some(Path::new("-")) {
            return Ok(None);
        }
        if let Some(token) = self.source_token()? {
            return Ok(Some(identity.with("source token", token.secret())));
        }
        if self.is_emulators_principal() {
            return Ok(Some(identity.with("source", "emulator")));
        }
        Ok(match self.credential_file()? {
            Some(path) => identity.with_credential_file(&path),
            None => identity.with_machine().and_then(SourceIdentity::with_gcloud),
        })
    }

    /// Returns the identity of secrets that somebody else gave to this run, in place of the source's.
    pub(crate) fn identity_of_secrets(&self, secrets: &[(&str, &str)]) -> SourceIdentity {
        let identity = SourceIdentity::new(self.server_parts());
        secrets.iter().fold(identity, |identity, (label, secret)| identity.with(label, secret))
    }

    /// Returns what decides where calls go and who pays.
    fn server_parts(&self) -> Digest {
        let options = [
            ("endpoint", self.endpoint.as_deref(), EMULATOR_VARIABLE),
            ("universe", self.universe_domain.as_deref(), "GOOGLE_CLOUD_UNIVERSE_DOMAIN"),
            ("quota project", self.quota_project.as_deref(), "GOOGLE_CLOUD_QUOTA_PROJECT"),
        ];
        options.iter().fold(Digest::new(), |digest, (label, option, variable)| {
            let value = env::var_os(variable).unwrap_or_default();
            digest.with(label, option.unwrap_or_default()).with(variable, value.as_encoded_bytes())
        })
    }

    /// Returns the credential file that is used.
    fn credential_file(&self) -> Result<Option<PathBuf>, Failure> {
        if let Some(path) = &self.credentials {
            return Ok(Some(path.clone()));
        }
        let mut builder = Credentials::builder();
        if let Some(domain) = &self.universe_domain {
            builder = builder.universe_domain(domain);
        }
        Ok(builder.application_default()?.info().file().map(Path::to_owned))
    }
}

impl SourceIdentity {
    fn new(parts: Digest) -> Self {
        Self { parts, stamps: Vec::new() }
    }

    /// Returns the hash, to which more is added.
    pub(crate) fn parts(&self) -> Digest {
        self.parts.clone()
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.parts.clone().hex() == other.parts.clone().hex() && self.stamps == other.stamps
    }

    fn with(mut self, label: &str, value: impl AsRef<[u8]>) -> Self {
        self.parts = self.parts.with(label, value);
        self
    }

    /// Adds a file's content; `None` if it can't be read.
    fn with_file(mut self, label: &str, path: &Path) -> Option<(Self, Vec<u8>)> {
        // First the stamp: a later change is noticed.
        self.stamps.push(Stamp::of(path));
        let content = fs::read(path).ok()?;
        Some((self.with(label, &content), content))
    }

    fn with_credential_file(self, path: &Path) -> Option<Self> {
        let (identity, content) = self.with_file("credential file", path)?;
        let file: Value = serde_json::from_slice(&content).ok()?;
        subject_files(&file)?.iter().try_fold(identity, |identity, path| {
            identity.with_file("subject token", path).map(|(identity, _)| identity)
        })
    }

    /// Adds the machine, for its metadata server: a machine's service account changes only while it doesn't run.
    fn with_machine(self) -> Option<Self> {
        if METADATA_VARIABLES.iter().any(|name| env::var_os(name).is_some()) {
            return None;
        }
        let boot = fs::read("/proc/sys/kernel/random/boot_id").ok()?;
        // Each pod has a network of its own, and its metadata server knows the pod by that.
        let network = fs::read_link("/proc/self/ns/net").ok()?;
        let identity = self.with("boot", boot).with("network", network.as_os_str().as_encoded_bytes());
        Some(identity.with("host", fs::read("/proc/sys/kernel/hostname").ok()?))
    }

    /// Adds gcloud's settings and logins, which are used if there is no metadata server.
    fn with_gcloud(self) -> Option<Self> {
        let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".config/gcloud"));
        let folder = env::var_os("CLOUDSDK_CONFIG").map(PathBuf::from).or_else(home)?;
        let mut variables: Vec<_> = env::vars_os().collect();
        variables.retain(|(name, _)| name.as_encoded_bytes().starts_with(b"CLOUDSDK_"));
        variables.sort();
        self.with_gcloud_settings(&folder, &variables)
    }

    /// Adds the files in gcloud's folder, and its variables; `None` if they name a file with other credentials.
    fn with_gcloud_settings(mut self, folder: &Path, variables: &[(OsString, OsString)]) -> Option<Self> {
        for (name, value) in variables {
            let (name, value) = (name.as_encoded_bytes(), value.as_encoded_bytes());
            if names_credentials(name) {
                return None;
            }
            self = self.with("variable", name).with("value", value);
        }
        for path in gcloud_files(folder) {
            self = match self.clone().with_file("gcloud", &path) {
                Some((_, content)) if names_credentials(&content) => return None,
                Some((identity, _)) => identity,
                None if is_missing(&path) => self.with("gcloud has no", path.as_os_str().as_encoded_bytes()),
                None => return None,
            };
        }
        Some(self)
    }
}

/// Returns the files of gcloud that say who is logged in.
fn gcloud_files(folder: &Path) -> Vec<PathBuf> {
    let configurations = fs::read_dir(folder.join("configurations")).into_iter().flatten().flatten();
    let mut files: Vec<_> = configurations.map(|entry| entry.path()).collect();
    files.extend(["active_config", "credentials.db", "properties"].map(|name| folder.join(name)));
    files.sort();
    files
}

/// Whether gcloud's settings have the name of a file with a token or a key.
fn names_credentials(settings: &[u8]) -> bool {
    let settings = settings.to_ascii_lowercase();
    let has = |name: &str| settings.windows(name.len()).any(|window| window == name.as_bytes());
    has("access_token_file") || has("credential_file_override")
}

fn is_missing(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Returns the files with the subject tokens of a credential file; `None` if one of its subject tokens isn't
/// in a file.
fn subject_files(file: &Value) -> Option<Vec<PathBuf>> {
    let mut files = match &file["source_credentials"] {
        Value::Null => Vec::new(),
        source => subject_files(source)?,
    };
    if file["type"] == "external_account" {
        files.push(file["credential_source"]["file"].as_str()?.into());
    }
    Some(files)
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let stamp = fs::metadata(path).ok().map(|metadata| {
            let (file, changed, nanos) = change(&metadata);
            (file, changed, nanos, metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH))
        });
        Self(path.to_owned(), stamp)
    }
}

/// Returns the file's number, and when it was changed in any way.
#[cfg(unix)]
fn change(metadata: &fs::Metadata) -> (u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;

    (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn change(metadata: &fs::Metadata) -> (u64, i64, i64) {
    (metadata.len(), 0, 0)
}

#[cfg(test)]
mod tests;
