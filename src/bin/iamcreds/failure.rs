//! Why a run fails: what the person at the terminal reads, and the exit code.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use gcp_iam_credentials::{Code, Error, ErrorKind};

use crate::terminal::printable;

/// The exit code of a run that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Anything else: a file that can't be written, a reply that is malformed.
    Other = 1,
    /// The arguments or the input are invalid. Nothing was sent.
    Usage = 2,
    /// The source gave no token, or IAM didn't accept it.
    Credentials = 3,
    /// IAM refused the call.
    Denied = 4,
    /// A service is unavailable, or it didn't reply in time.
    Unavailable = 5,
    /// The program that `exec` should run can't be run, as shells say it.
    NotExecutable = 126,
    /// There is no such program.
    NotFound = 127,
    /// SIGINT: 128 and the signal's number.
    Interrupted = 130,
    /// SIGTERM: 128 and the signal's number.
    #[cfg_attr(not(unix), allow(dead_code, reason = "other systems have no such signal"))]
    Terminated = 143,
}

impl Exit {
    fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidInput => Self::Usage,
            ErrorKind::Credentials if error.is_transient() && !is_without_credentials(error) => {
                Self::Unavailable
            }
            ErrorKind::Credentials => Self::Credentials,
            ErrorKind::Timeout | ErrorKind::Transport => Self::Unavailable,
            ErrorKind::Service => Self::of_code(error.code()),
            _ => Self::Other,
        }
    }

    fn of_code(code: Code) -> Self {
        match code {
            Code::Unauthenticated => Self::Credentials,
            Code::PermissionDenied | Code::NotFound => Self::Denied,
            Code::InvalidArgument => Self::Usage,
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Internal => {
                Self::Unavailable
            }
            _ => Self::Other,
        }
    }
}

/// Whether nothing on this machine gives credentials. The library calls that transient: a metadata server may still start.
fn is_without_credentials(error: &Error) -> bool {
    let text = format!("{error:#}");
    text.contains("no credentials found: ")
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A run that fails. Its text is what failed, and on a second line what to do about it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    exit: Exit,
    what: String,
    fix: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), fix: None }
    }

    /// The arguments or the input are invalid.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// A file that an argument names can't be used.
    pub(crate) fn input(path: &Path, problem: &dyn fmt::Display) -> Self {
        Self::usage(format!("{}: {problem}", path.display()))
    }

    /// A file can't be read or written.
    pub(crate) fn file(path: &Path, error: &dyn fmt::Display) -> Self {
        Self::new(Exit::Other, format!("{}: {error}", path.display()))
    }

    /// An error of the library. `argument_of` returns the argument that sets an invalid field.
    pub(crate) fn naming(error: &Error, argument_of: impl Fn(&str) -> Option<&'static str>) -> Self {
        let exit = Exit::of(error);
        // All causes are in the first line, and the advice is in the second one.
        let text = format!("{error:#}").replace("`Impersonation::diagnose`", "`iamcreds diagnose`");
        match error.field().and_then(argument_of).filter(|_| exit == Exit::Usage) {
            Some(argument) => Self::new(exit, format!("{argument}: {text}")),
            None => Self::new(exit, text),
        }
    }

    /// A signal ended the run. There is nothing to say: the person who sent it knows.
    pub(crate) fn signal(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// Whether a signal ended the run.
    pub(crate) fn is_by_signal(&self) -> bool {
        matches!(self.exit, Exit::Interrupted | Exit::Terminated)
    }

    pub(crate) fn fix_by(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Tells the person at the terminal.
    pub(crate) fn print(&self) {
        if !self.what.is_empty() {
            eprintln!("iamcreds: {self}");
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_printable(f, &self.what)?;
        let Some(fix) = &self.fix else { return Ok(()) };
        f.write_str("\nfix: ")?;
        write_printable(f, fix)
    }
}

/// Writes a text that may quote an argument or a reply. Ends of lines stay.
fn write_printable(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    f.write_str(&lines.join("\n"))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::naming(&error, argument_of)
    }
}

/// Returns the argument that sets a field of the library, such as `scopes[0]`.
pub(crate) fn argument_of(field: &str) -> Option<&'static str> {
    let name = field.split(['[', '.']).next().unwrap_or_default();
    Some(match name {
        "target" => "--target",
        "delegates" => "--via",
        "scopes" => "--scope",
        "lifetime" => "--lifetime",
        "audience" => "--audience",
        "subject" => "--subject",
        "endpoint" => "--endpoint",
        "universe_domain" => "--universe-domain",
        "quota_project" => "--quota-project",
        "timeout" => "--timeout",
        "root_certificates" => "--root-certificates",
        "project" => "--project",
        "address" => "--address",
        "bucket" | "object" => "gs://BUCKET/OBJECT",
        "method" => "--method",
        "header" => "--header",
        "query" => "--query",
        "virtual_hosted" => "--virtual-hosted",
        "bucket_bound_host" => "--bucket-bound-host",
        _ => return None,
    })
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Other, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_the_advice_on_a_line_of_its_own() {
        let failure = Failure::usage("no account to act as").fix_by("add --target");
        assert_eq!(failure.to_string(), "no account to act as\nfix: add --target");
        assert_eq!(Failure::usage("no").to_string(), "no");
        assert_eq!(Failure::usage("\u{1b}[31mred").to_string(), "\\u{1b}[31mred");
    }

    #[test]
    fn an_invalid_field_is_called_by_its_argument() {
        let invalid = gcp_iam_credentials::IamCredentialsClient::builder().endpoint("no url").build();
        let text = Failure::from(invalid.unwrap_err()).to_string();
        assert!(text.starts_with("--endpoint: invalid `endpoint`: "), "{text}");
        assert_eq!(argument_of("scopes[1]"), Some("--scope"));
        assert_eq!(argument_of("token"), None);
    }

    #[test]
    fn the_exit_code_says_whose_fault_it_is() {
        assert_eq!(Exit::of(&Error::permanent("revoked")), Exit::Credentials);
        assert_eq!(Exit::of(&Error::transient("sealed")), Exit::Unavailable);
        let invalid = "nobody".parse::<gcp_iam_credentials::ServiceAccountName>().unwrap_err();
        assert_eq!(Exit::of(&invalid), Exit::Usage);
        for (code, exit) in [
            (Code::PermissionDenied, Exit::Denied),
            (Code::NotFound, Exit::Denied),
            (Code::Unauthenticated, Exit::Credentials),
            (Code::Unavailable, Exit::Unavailable),
            (Code::FailedPrecondition, Exit::Other),
        ] {
            assert_eq!(Exit::of_code(code), exit, "{code}");
        }
    }
}
