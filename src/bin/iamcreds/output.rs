//! A command's result, on standard output or in a file that only this user can read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gcp_iam_credentials::Token;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::terminal::is_invisible;

/// The place for the result.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArguments {
    /// Write to this file, which only you can read (mode 0600), in place of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How a token is shown.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(crate) enum TokenFormat {
    /// The token
    #[default]
    Text,
    /// A JSON object with the token and its expiry
    Json,
    /// The line `Authorization: Bearer TOKEN`, as curl -H @FILE reads it
    Header,
}

/// How a result that isn't a token is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Text for people
    #[default]
    Text,
    /// A JSON object
    Json,
}

impl TokenFormat {
    /// Returns the text of a token. `field` is its name in JSON.
    pub(crate) fn show(self, field: &str, token: &Token) -> String {
        match self {
            Self::Text => format!("{}\n", token.secret()),
            Self::Header => format!("Authorization: Bearer {}\n", token.secret()),
            Self::Json => {
                let mut object = json!({field: token.secret(), "token_type": "Bearer"});
                if let Some(expires_at) = token.expires_at() {
                    object["expires_at"] = rfc3339(expires_at).into();
                    let left = expires_at.duration_since(SystemTime::now()).unwrap_or_default();
                    object["expires_in"] = left.as_secs().into();
                }
                json_text(&object)
            }
        }
    }
}

impl OutputArguments {
    /// Writes the result.
    pub(crate) fn write(&self, content: impl AsRef<[u8]>) -> Result<(), Failure> {
        match &self.out {
            None => print(content.as_ref()),
            Some(path) => write_secret(path, content.as_ref()).map_err(|error| Failure::file(path, &error)),
        }
    }
}

/// Returns a JSON document for people, with a newline at its end. A terminal obeys nothing in it.
pub(crate) fn json_text(value: &Value) -> String {
    let mut shown = String::new();
    for letter in format!("{value:#}\n").chars() {
        if letter != '\n' && letter.is_control() || is_invisible(letter) {
            // It is in a text: outside of texts, JSON has no such letters.
            let mut units = [0; 2];
            shown.extend(letter.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Returns a time in RFC 3339, in UTC, in whole seconds.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    prost_types::Timestamp { seconds, nanos: 0 }.to_string()
}

/// Writes to standard output.
pub(crate) fn print(content: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let result = out.write_all(content).and_then(|()| out.flush());
    match result {
        // The reader has what it wants: `iamcreds … | head -1`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(Exit::Other, format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Replaces a file by one that only this user can read. A reader sees the old content or the new one. What isn't a
/// regular file, such as a pipe, is written to.
pub(crate) fn write_secret(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return OpenOptions::new().write(true).open(path)?.write_all(content);
    }
    // A link stays, and its target is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut new = path.clone().into_os_string();
    new.push(format!(".{}.tmp", std::process::id()));
    let new = PathBuf::from(new);
    let result = secret_file()
        .create_new(true)
        .open(&new)
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| fs::rename(&new, &path));
    if result.is_err() {
        // There may be none. The first error counts.
        let _ = fs::remove_file(&new);
    }
    result
}

/// Returns the options to write a file that only this user can read.
pub(crate) fn secret_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn token() -> Token {
        Token::new("ya29.secret", SystemTime::now() + Duration::from_secs(600)).unwrap()
    }

    #[test]
    fn a_token_is_text_a_header_or_json() {
        assert_eq!(TokenFormat::Text.show("access_token", &token()), "ya29.secret\n");
        assert_eq!(TokenFormat::Header.show("access_token", &token()), "Authorization: Bearer ya29.secret\n");
        let shown: Value = serde_json::from_str(&TokenFormat::Json.show("access_token", &token())).unwrap();
        assert_eq!(shown["access_token"], "ya29.secret");
        assert_eq!(shown["token_type"], "Bearer");
        assert!((598..=600).contains(&shown["expires_in"].as_u64().unwrap()), "{shown}");
        assert!(shown["expires_at"].as_str().unwrap().ends_with('Z'), "{shown}");
        let endless = Token::new("t", None).unwrap();
        assert!(!TokenFormat::Json.show("access_token", &endless).contains("expires"));
    }

    #[test]
    fn a_json_document_controls_no_terminal_and_keeps_its_texts() {
        let hostile = json!({"a\u{9b}": "\u{1b}[2J\u{202e}\n\u{e0001}é"});
        let shown = json_text(&hostile);
        assert!(!shown.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{e0001}']), "{shown:?}");
        assert!(shown.contains('é') && shown.lines().count() == 3, "{shown:?}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), hostile);
    }

    #[test]
    fn a_time_is_in_rfc_3339() {
        assert_eq!(
            rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(1_782_561_600_900)),
            "2026-06-27T12:00:00Z"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_private_and_replaced_and_leaves_nothing_beside_it() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "a longer content of another run").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&path, folder.path().join("link")).unwrap();
        for name in ["token", "link", "new"] {
            write_secret(&folder.path().join(name), b"secret").unwrap();
            assert_eq!(fs::read(folder.path().join(name)).unwrap(), b"secret");
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::symlink_metadata(folder.path().join("link")).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        write_secret(&folder.path().join("missing/token"), b"secret").unwrap_err();
        write_secret(Path::new("/dev/null"), b"secret").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
