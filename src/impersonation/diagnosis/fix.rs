//! What to do about what a diagnosis found.

use std::time::SystemTime;

use crate::Error;
use crate::error::{RefusalCause, Remedy, placeholders};
use crate::printable::printable;

/// What to do about a [hop](super::DiagnosedHop) that fails, or about a
/// [federated identity](super::DiagnosedSource) that is refused.
///
/// ```
/// use gcp_iam_credentials::diagnosis::{DiagnosedHop, Fix};
///
/// /// Returns the command that a program may run without a person.
/// fn safe_command(hop: &DiagnosedHop) -> Option<String> {
///     let fix = hop.fix()?;
///     let is_complete = fix.changes() && fix.placeholder().is_none() && !fix.is_member_likely();
///     fix.command().filter(|_| is_complete).map(str::to_owned)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    advice: String,
    command: Option<String>,
    changes: bool,
    check: Option<String>,
    is_member_likely: bool,
}

impl Fix {
    /// Returns what to do, in words, in one line. For example: `enable the API`.
    pub fn advice(&self) -> &str {
        &self.advice
    }

    /// Returns the command that does it, or that shows more: one line for a POSIX shell, if there is
    /// one.
    ///
    /// Names from files and replies are quoted: the shell expands and runs nothing in them, and no
    /// program takes them for an option.
    pub fn command(&self) -> Option<&str> {
        self.command.as_deref()
    }

    /// Returns whether the command changes what is wrong. `false` if it only shows more, and if there
    /// is no command.
    pub fn changes(&self) -> bool {
        self.changes
    }

    /// Returns the word in the command that a person has to replace, because the name isn't known
    /// here: `MEMBER`, for example.
    pub fn placeholder(&self) -> Option<&'static str> {
        let command = self.command()?;
        let is_in_command = |(before, word): &(&str, &str)| {
            let start = format!("{before}{word}");
            command.match_indices(&start).any(|(at, _)| {
                !command[at + start.len()..].starts_with(|next: char| next.is_ascii_alphanumeric())
            })
        };
        placeholders().find(is_in_command).map(|(_, word)| word)
    }

    /// Returns the command that shows what else may be wrong, if the first one doesn't help: whether the
    /// account exists and is enabled. IAM doesn't tell that apart from a missing grant.
    pub fn check(&self) -> Option<&str> {
        self.check.as_deref()
    }

    /// Returns whether the member that the command grants a role to may be another one: the mapping of
    /// an identity provider decides.
    pub fn is_member_likely(&self) -> bool {
        self.is_member_likely
    }

    fn new(remedy: Remedy, is_member_likely: bool) -> Self {
        let Remedy { words, note, command, changes, check } = remedy;
        let advice = printable(&format!("{words}{note}")).into_owned();
        Self { advice, command, changes, check, is_member_likely }
    }
}

/// What decides the fix of a failing hop.
#[derive(Clone, Debug)]
pub(super) enum Reason {
    /// The service refused `member` access to the account.
    Refusal(RefusalCause),
    /// The source failed, or something else did.
    Failure(Error),
}

impl Reason {
    /// Returns the fix of a hop on which `member` acts as `account`.
    pub(super) fn fix(&self, account: &str, member: &str, is_member_likely: bool) -> Option<Fix> {
        match self {
            Self::Refusal(cause) => {
                let is_member_likely = is_member_likely && matches!(cause, RefusalCause::MissingRole { .. });
                Some(Fix::new(cause.remedy(account, member), is_member_likely))
            }
            Self::Failure(error) => of_failure(error),
        }
    }
}

/// Returns what to do about a failure: a refused subject token, a refused call that the source made,
/// or another one.
pub(super) fn of_failure(error: &Error) -> Option<Fix> {
    if let Some(refusal) = error.federation() {
        return Some(Fix::new(refusal.remedy(SystemTime::now()), false));
    }
    if let Some((remedy, is_member_likely)) = error.remedy() {
        return Some(Fix::new(remedy, is_member_likely));
    }
    let advice = error.hint()?;
    Some(Fix { advice, command: None, changes: false, check: None, is_member_likely: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fix(cause: RefusalCause, member: &str) -> Fix {
        Reason::Refusal(cause).fix("t@p.com", member, true).unwrap()
    }

    fn missing() -> RefusalCause {
        RefusalCause::MissingRole { named: None, needed: None }
    }

    #[test]
    fn a_name_that_is_not_known_is_a_placeholder_and_a_name_that_looks_like_one_is_not() {
        let denied =
            |project: Option<&str>| RefusalCause::QuotaProjectDenied { project: project.map(Into::into) };
        for (cause, member, expected) in [
            (missing(), "MEMBER", Some("MEMBER")),
            (missing(), "user:MEMBER@example.com", None),
            (missing(), "principal://x/subject/SUBJECT", Some("SUBJECT")),
            (missing(), "principal://x/subject/SUBJECT1", None),
            (denied(None), "user:me@example.com", Some("PROJECT")),
            (denied(Some("PROJECT9")), "user:me@example.com", None),
            (RefusalCause::ApiDisabled { api: "a".into(), project: None }, "user:x", Some("PROJECT")),
            (RefusalCause::UnknownAccount, "MEMBER", None),
        ] {
            let fix = fix(cause, member);
            assert_eq!(fix.placeholder(), expected, "{fix:?}");
        }
    }

    #[test]
    fn a_login_is_advised_only_to_who_may_be_logged_in() {
        for cause in [RefusalCause::SourceTokenRejected, RefusalCause::ScopeInsufficient] {
            for (member, expected) in [
                ("user:me@example.com", true),
                ("MEMBER", true),
                ("serviceAccount:a@p.iam.gserviceaccount.com", false),
                ("principal://iam.googleapis.com/x/subject/y", false),
            ] {
                let fix = fix(cause.clone(), member);
                let is_login =
                    fix.command().is_some_and(|command| command.contains("auth application-default login"));
                assert_eq!((is_login, fix.advice().contains("login")), (expected, expected), "{fix:?}");
            }
        }
    }

    #[test]
    fn a_command_that_only_shows_more_changes_nothing() {
        assert!(!fix(RefusalCause::UnknownAccount, "user:x").changes());
        let describe = "gcloud iam service-accounts describe t@p.com";
        assert_eq!(fix(missing(), "user:x").check(), Some(describe));
        assert_eq!(fix(RefusalCause::UnknownAccount, "user:x").command(), Some(describe));
        assert!(fix(missing(), "user:x").changes() && fix(missing(), "user:x").is_member_likely());
        assert!(!fix(RefusalCause::UnknownAccount, "user:x").is_member_likely(), "it names no member");
    }

    #[test]
    fn a_failure_without_a_command_keeps_its_advice() {
        let error = Error::credentials("no", false).fix_by("start\u{1b}[2J again");
        let fix = of_failure(&error).unwrap();
        assert_eq!((fix.advice(), fix.command(), fix.changes()), (r"start\u{1b}[2J again", None, false));
        assert!(of_failure(&Error::transient("away")).is_none());
    }
}
