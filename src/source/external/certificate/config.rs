//! The certificate config, which names the files of a certificate and of its key.

use std::path::PathBuf;

use serde_json::Value;

use super::named_file::{NamedFile, Problem, is_path};

const CERTIFICATE: &str = "cert_configs.workload.cert_path";
const KEY: &str = "cert_configs.workload.key_path";

/// The files that a config names.
pub(super) struct CertificateConfig {
    certificate: PathBuf,
    key: PathBuf,
}

impl CertificateConfig {
    pub(super) fn read(file: NamedFile<'_>) -> Result<Self, Problem> {
        let content = file.read()?;
        // The text of the error may contain a part of the file, so only the position is shown.
        let config: Value = serde_json::from_slice(&content).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            file.problem(&format!("must contain JSON, got an error at line {line}, column {column}"))
        })?;
        let path = |field: &str| {
            let value = field.split('.').try_fold(&config, |value, name| value.get(name));
            let path = value.and_then(Value::as_str).filter(|path| is_path(path));
            let problem = || file.problem(&format!("must have a path in the field {field}"));
            path.map(PathBuf::from).ok_or_else(problem)
        };
        Ok(Self { certificate: path(CERTIFICATE)?, key: path(KEY)? })
    }

    pub(super) fn into_paths(self) -> [PathBuf; 2] {
        [self.certificate, self.key]
    }

    pub(super) fn certificate(&self) -> NamedFile<'_> {
        NamedFile { path: &self.certificate, field: CERTIFICATE }
    }

    pub(super) fn key(&self) -> NamedFile<'_> {
        NamedFile { path: &self.key, field: KEY }
    }
}
