//! A file that another program keeps up to date as the source of subject tokens.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::format::{MAX_SIZE, TokenFormat};
use super::{SubjectToken, SubjectTokenKind, SubjectTokenSource};
use crate::Error;
use crate::source::BoxFuture;
use crate::source::thread;

/// How many times a file without a token in it is read: it may be half written.
const READS: u32 = 4;
/// The time between two reads.
const PAUSE: Duration = Duration::from_millis(100);

/// Reads the token anew for each exchange.
#[derive(Debug)]
pub(crate) struct FileSource {
    pub(crate) path: PathBuf,
    pub(crate) format: TokenFormat,
}

impl FileSource {
    async fn read(&self, deadline: Instant) -> Result<SubjectToken, Error> {
        let mut reads = 0;
        loop {
            reads += 1;
            let problem = match self.format.read(&self.content(deadline).await?) {
                Ok(token) => return Ok(token),
                Err(problem) => problem,
            };
            if reads == READS || Instant::now() + PAUSE >= deadline {
                return Err(self.failure(&problem, false));
            }
            sleep(PAUSE).await;
        }
    }

    async fn content(&self, deadline: Instant) -> Result<Vec<u8>, Error> {
        let path = self.path.clone();
        // A file system in the network may never answer.
        let content = thread::run("subject-token", move |_| read(&path));
        match timeout_at(deadline, content).await {
            Ok(content) => content?.map_err(|error| self.unreadable(&error)),
            Err(_elapsed) => Err(self.failure("couldn't be read in time", true)),
        }
    }

    fn unreadable(&self, error: &io::Error) -> Error {
        let permanent = [
            ErrorKind::NotFound,
            ErrorKind::PermissionDenied,
            ErrorKind::NotADirectory,
            ErrorKind::IsADirectory,
            ErrorKind::InvalidInput,
        ];
        self.failure(&format!("can't be read: {error}"), !permanent.contains(&error.kind()))
    }

    fn failure(&self, problem: &str, transient: bool) -> Error {
        let path = self.path.display();
        let message = format!("no subject token: the file {path} (credential_source.file) {problem}");
        Error::credentials(message, transient)
    }
}

/// Reads at most a little more than a token may have.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(MAX_SIZE as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

impl SubjectTokenSource for FileSource {
    fn fetch(&self, deadline: Instant) -> BoxFuture<'_, Result<SubjectToken, Error>> {
        Box::pin(self.read(deadline))
    }

    fn revision(&self) -> u64 {
        // What isn't a file, such as a pipe, can be read only once.
        let content = self.path.is_file().then(|| read(&self.path).ok()).flatten();
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        hasher.finish()
    }

    fn kind(&self) -> SubjectTokenKind {
        SubjectTokenKind::File
    }

    fn origin(&self) -> String {
        format!("the file {}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &Path, format: TokenFormat) -> FileSource {
        FileSource { path: path.to_owned(), format }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    /// conf: F1
    #[tokio::test]
    async fn a_file_is_read_anew_for_each_exchange() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let text = source(&path, TokenFormat::Text);
        for token in ["first", "second"] {
            std::fs::write(&path, format!("{token}\n")).unwrap();
            assert_eq!(text.fetch(soon()).await.unwrap().secret(), token);
        }
        let json = source(&path, TokenFormat::Json { field: "id_token".into() });
        std::fs::write(&path, r#"{"id_token": "third"}"#).unwrap();
        assert_eq!(json.fetch(soon()).await.unwrap().secret(), "third");
    }

    /// conf: F1
    #[tokio::test]
    async fn a_file_without_a_token_is_an_error_with_path_and_field_and_no_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let json = || TokenFormat::Json { field: "id_token".into() };
        let failure = async |path: &Path, format| {
            let error = source(path, format).fetch(soon()).await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(!error.is_transient() && !text.contains("hidden"), "{text}");
            assert!(text.contains(&*path.display().to_string()), "{text}");
            assert!(text.contains("credential_source.file"), "{text}");
            error.to_string()
        };
        assert!(failure(&path, json()).await.contains("can't be read"));
        assert!(failure(folder.path(), json()).await.contains("can't be read"));
        std::fs::write(&path, "").unwrap();
        assert!(failure(&path, TokenFormat::Text).await.contains("is empty"));
        std::fs::write(&path, r#"{"token": "hidden"}"#).unwrap();
        assert!(failure(&path, json()).await.contains("no field \"id_token\""));
        std::fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        assert!(failure(&path, TokenFormat::Text).await.contains("131072 bytes"));
    }

    /// conf: F1
    #[tokio::test]
    async fn a_file_that_is_being_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, r#"{"id_tok"#).unwrap();
        let source = source(&path, TokenFormat::Json { field: "id_token".into() });
        let fetch = source.fetch(soon());
        let write = async {
            sleep(PAUSE / 2).await;
            std::fs::write(&path, r#"{"id_token": "whole"}"#).unwrap();
        };
        let (token, ()) = tokio::join!(fetch, write);
        assert_eq!(token.unwrap().secret(), "whole");
    }

    /// conf: F1
    #[cfg(unix)]
    #[tokio::test]
    async fn a_file_that_never_answers_ends_with_the_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let deadline = Instant::now() + Duration::from_millis(100);
        let error = source(&path, TokenFormat::Text).fetch(deadline).await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("in time"), "{error}");
        // Ends the thread that waits.
        drop(File::options().write(true).open(&path));
    }
}
