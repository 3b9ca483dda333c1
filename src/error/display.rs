//! How an error is printed: one level with `{}`, the whole chain with `{:#}`.

use std::error::Error as StdError;
use std::fmt::{self, Display, Formatter, Write};
use std::iter::successors;

use super::{Cause, Error};
use crate::printable::{PrintableWriter, printable};

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let fix = match f.alternate() {
            true => {
                write_chain(self, &mut PrintableWriter(f))?;
                self.hint().map(Into::into)
            }
            false => {
                self.write_level(&mut PrintableWriter(f))?;
                self.fix()
            }
        };
        match fix {
            Some(fix) => write!(f, "\nfix: {}", printable(&fix)),
            None => Ok(()),
        }
    }
}

impl Error {
    /// Returns the whole chain and its advice in one line, for logs.
    pub(crate) fn in_one_line(&self) -> impl Display {
        OneLine(self)
    }

    /// Returns the whole chain in one line, for reports that give their own advice.
    pub(crate) fn without_advice(&self) -> impl Display {
        Chain(self)
    }

    /// Writes this level of the chain, without advice.
    fn write_level(&self, f: &mut impl Write) -> fmt::Result {
        let inner = &*self.0;
        if let Some(operation) = inner.operation {
            write!(f, "{operation}")?;
            if let Some(account) = &inner.account {
                write!(f, " for {account}")?;
            }
            f.write_str(": ")?;
        }
        if let Some(field) = &inner.field {
            write!(f, "invalid `{field}`")?;
            if let Some(file) = &inner.file {
                write!(f, " in {file}")?;
            }
            f.write_str(": ")?;
        }
        match &inner.cause {
            Cause::Service(service) => {
                f.write_str(failed_purpose(inner.operation))?;
                write!(f, "{service}")?;
            }
            Cause::Given(cause) => write_cause(&**cause, f)?,
            _ => f.write_str(&inner.message)?,
        }
        match inner.attempts {
            0 | 1 => Ok(()),
            attempts => write!(f, " (after {attempts} attempts)"),
        }
    }
}

/// What the call was for, since the names of two of them don't say.
fn failed_purpose(operation: Option<&str>) -> &'static str {
    match operation {
        Some("generate_access_token" | "generate_id_token") => "unable to impersonate: ",
        _ => "",
    }
}

struct OneLine<'a>(&'a Error);

impl Display for OneLine<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Chain(self.0).fmt(f)?;
        match self.0.hint() {
            Some(fix) => write!(f, "; fix: {fix}"),
            None => Ok(()),
        }
    }
}

struct Chain<'a>(&'a Error);

impl Display for Chain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_chain(self.0, &mut PrintableWriter(f))
    }
}

fn write_chain(error: &Error, f: &mut impl Write) -> fmt::Result {
    error.write_level(f)?;
    for cause in successors(error.source(), |cause| (*cause).source()) {
        f.write_str(": ")?;
        write_cause(cause, f)?;
    }
    Ok(())
}

fn write_cause(cause: &(dyn StdError + 'static), f: &mut impl Write) -> fmt::Result {
    match cause.downcast_ref::<Error>() {
        Some(error) => error.write_level(f),
        None => write!(f, "{cause}"),
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.cause {
            Cause::Error(error) => Some(error),
            // These are shown as this error's own text.
            Cause::Given(error) => error.source(),
            Cause::Local(failure) => failure.cause(),
            Cause::None | Cause::Service(_) => None,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &inner.kind).field("transient", &inner.transient);
        if let Some(operation) = inner.operation {
            debug.field("operation", &operation);
        }
        if let Some(account) = &inner.account {
            debug.field("account", account).field("attempts", &inner.attempts);
        }
        if let Some(field) = &inner.field {
            debug.field("field", field);
        }
        if let Some(file) = &inner.file {
            debug.field("file", file);
        }
        if !inner.message.is_empty() {
            debug.field("message", &inner.message);
        }
        match &inner.cause {
            Cause::Service(service) => debug.field("service", service),
            Cause::Given(cause) => debug.field("cause", cause),
            // A status shows headers, which nobody has checked for secrets.
            Cause::Local(failure) => debug.field("source", &failure.cause()),
            Cause::Error(error) => debug.field("source", error),
            Cause::None => &mut debug,
        };
        debug.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic::{Code, ConnectError, Status};
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;
    use crate::error::ServiceError;

    /// Prints a chain as anyhow's `{:#}` does.
    fn as_anyhow(error: &Error) -> String {
        let chain = successors(Some(error as &dyn StdError), |error| (*error).source());
        chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }

    fn refused() -> Error {
        let metadata = HashMap::from([("permission".to_owned(), "iam.serviceAccounts.signBlob".to_owned())]);
        let details = ErrorDetails::with_error_info("IAM_PERMISSION_DENIED", "iam.googleapis.com", metadata);
        let status = Status::with_error_details(Code::PermissionDenied, "no such grant", details);
        Error::status(ServiceError::new(status), false)
    }

    #[test]
    fn an_invalid_argument_is_named_with_its_file_and_what_was_expected() {
        let error = Error::invalid("lifetime", "must be between 1 s and 12 h, got 0 s");
        assert_eq!(error.to_string(), "invalid `lifetime`: must be between 1 s and 12 h, got 0 s");
        let error =
            Error::invalid("token_uri", "must be a URL").in_object("source_credentials.").in_file("adc.json");
        assert_eq!(error.to_string(), "invalid `source_credentials.token_uri` in adc.json: must be a URL");
        let error = Error::invalid("delegates", "must not be empty").at_index(1).of("sign_blob");
        assert_eq!(error.to_string(), "sign_blob: invalid `delegates[1]`: must not be empty");
    }

    #[test]
    fn one_level_is_printed_and_the_alternate_form_prints_the_chain() {
        let cause = Error::transient(std::io::Error::other("disk on fire"));
        let error = Error::no_source_token(cause).during("sign_blob", "sa@example.com", 3);
        let level = "sign_blob for sa@example.com: no source token (after 3 attempts)";
        assert_eq!(error.to_string(), level);
        assert_eq!(format!("{error:#}"), format!("{level}: disk on fire"));
        assert_eq!(error.in_one_line().to_string(), format!("{level}: disk on fire"));
    }

    #[test]
    fn advice_is_on_its_own_line_at_the_end() {
        let error = refused().during("sign_blob", "sa@example.com", 1);
        let text = error.to_string();
        let (what, fix) = text.split_once("\nfix: ").unwrap();
        assert_eq!(
            what,
            "sign_blob for sa@example.com: PERMISSION_DENIED: no such grant [IAM_PERMISSION_DENIED]"
        );
        assert_eq!(error.hint().as_deref(), Some(fix));
        assert!(!fix.contains('\n'), "{fix}");

        let outer = Error::no_source_token(error).during("sign_jwt", "target@example.com", 1);
        assert_eq!(outer.to_string(), "sign_jwt for target@example.com: no source token");
        assert_eq!(format!("{outer:#}"), format!("{outer}: {text}"));
        assert_eq!(outer.in_one_line().to_string(), format!("{outer}: {what}; fix: {fix}"));

        let error = Error::invalid("endpoint", "must be https").fix_by("call `allow_plaintext()`");
        assert_eq!(error.to_string(), "invalid `endpoint`: must be https\nfix: call `allow_plaintext()`");
    }

    /// conf: P28
    #[test]
    fn failures_of_the_calls_that_impersonate_say_so() {
        for (operation, expected) in [
            ("generate_access_token", "generate_access_token for a@b.c: unable to impersonate: UNKNOWN"),
            ("generate_id_token", "generate_id_token for a@b.c: unable to impersonate: UNKNOWN"),
            ("sign_blob", "sign_blob for a@b.c: UNKNOWN"),
            ("sign_jwt", "sign_jwt for a@b.c: UNKNOWN"),
        ] {
            let error = Error::status(ServiceError::new(Status::new(Code::Unknown, "")), false);
            assert_eq!(error.during(operation, "a@b.c", 1).to_string(), expected);
        }
    }

    #[test]
    fn nothing_is_printed_twice_by_anyhow_or_by_the_alternate_form() {
        let io = || std::io::Error::other("cable cut");
        let mut local = Status::new(Code::Unknown, "cable cut");
        local.set_source(std::sync::Arc::new(ConnectError(Box::new(io()))));
        let lost = Error::transport("the connection to https://a.test broke", true)
            .with_status(local, |error| error.is::<ConnectError>());
        let refused = || refused().during("generate_access_token", "middle@example.com", 1);
        for (error, parts) in [
            (refused(), vec!["no such grant", "for middle@example.com: ", "PERMISSION_DENIED: ", "fix: "]),
            (Error::permanent(io()), vec!["cable cut"]),
            (Error::permanent(Status::unavailable("away")), vec!["away"]),
            (Error::permanent(refused()), vec!["no such grant", "fix: "]),
            (
                lost.clone().during("sign_blob", "sa@example.com", 5),
                vec!["cable cut", "sign_blob", "5 attempts"],
            ),
            (Error::timeout("no success within 60 s", Some(lost)), vec!["cable cut", "60 s", "a.test"]),
            (
                Error::no_source_token(refused()).during("sign_jwt", "target@example.com", 2),
                vec![
                    "no such grant",
                    "sign_jwt",
                    "no source token",
                    "2 attempts",
                    "for middle@example.com: ",
                    "fix: ",
                ],
            ),
        ] {
            for text in [as_anyhow(&error), format!("{error:#}"), error.in_one_line().to_string()] {
                for part in &parts {
                    assert_eq!(text.matches(part).count(), 1, "{part:?} in {text}");
                }
            }
            assert_eq!(as_anyhow(&error), format!("{error:#}"));
        }
    }
}
