//! One of the files of a client certificate.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::Error;

/// Far more than a chain of certificates needs, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// Returns whether a text can be a path. Errors show paths, and a key that is at the place of its path
/// has several lines.
pub(crate) fn is_path(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control)
}

/// A file, and the field that names it.
#[derive(Clone, Copy)]
pub(super) struct NamedFile<'a> {
    pub(super) path: &'a Path,
    pub(super) field: &'static str,
}

impl NamedFile<'_> {
    pub(super) fn read(&self) -> Result<Vec<u8>, Problem> {
        let mut content = Vec::new();
        let outcome =
            File::open(self.path).and_then(|file| file.take(MAX_SIZE + 1).read_to_end(&mut content));
        match outcome {
            Ok(_) if content.len() as u64 > MAX_SIZE => {
                Err(self.problem(&format!("has more than {MAX_SIZE} bytes")))
            }
            Ok(_) => Ok(content),
            Err(error) => {
                let kind = match error.kind() {
                    ErrorKind::NotFound => ProblemKind::Missing,
                    ErrorKind::PermissionDenied | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
                        ProblemKind::Denied
                    }
                    _ => ProblemKind::Unavailable,
                };
                Err(Problem { text: format!("{} can't be read: {error}", self.name()), kind })
            }
        }
    }

    /// Returns the problem of a content that can't be used. It may be half written.
    pub(super) fn problem(&self, problem: &str) -> Problem {
        Problem { text: format!("{} {problem}", self.name()), kind: ProblemKind::Incomplete }
    }

    /// Returns path and field, for people.
    pub(super) fn name(&self) -> String {
        format!("the file {} ({})", self.path.display(), self.field)
    }
}

/// Why files can't be used. It contains no part of them.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(super) text: String,
    pub(super) kind: ProblemKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProblemKind {
    /// The content can't be used. Somebody may be writing the files.
    Incomplete,
    /// Somebody may be replacing the file.
    Missing,
    /// The file system doesn't work now.
    Unavailable,
    /// The program must not read the file, or it isn't one.
    Denied,
}

impl Problem {
    /// Returns the error of a fetch.
    pub(super) fn into_error(self) -> Error {
        let is_transient = self.kind == ProblemKind::Unavailable;
        Error::credentials(format!("no client certificate: {}", self.text), is_transient)
    }

    /// Returns the error for a field of a credential file.
    pub(crate) fn into_invalid(self, field: &'static str) -> Error {
        Error::invalid(field, format!("must lead to a client certificate, but {}", self.text))
    }
}
