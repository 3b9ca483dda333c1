//! The result of a diagnosis, and its text.

use std::fmt::{self, Write};

use super::DiagnosedSource;
use super::finding::{Failure, Finding};
use super::fix::{Fix, Reason};
use crate::name::account_in;
use crate::printable::PrintableWriter;
use crate::roles;
use crate::source::SourceInfo;

/// Follows a command with a principal that isn't certain.
const LIKELY: &str = " (likely: the identity provider's mapping decides who the member is)";

/// The result of [`Impersonation::diagnose`](crate::Impersonation::diagnose), hop by hop. `Display`
/// prints a report for people.
///
/// ```
/// use gcp_iam_credentials::diagnosis::Diagnosis;
///
/// fn report(diagnosis: &Diagnosis) {
///     match diagnosis.failure() {
///         None => println!("allowed"),
///         Some(hop) => println!("{} fails: {diagnosis}", hop.account()),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Diagnosis {
    info: SourceInfo,
    source: Option<DiagnosedSource>,
    hops: Vec<DiagnosedHop>,
}

impl Diagnosis {
    /// Returns the diagnosis of a chain that works. `names` are those of the delegates and the target, and
    /// `permission` is the one that the operation needs on the target.
    pub(super) fn allowed(
        info: SourceInfo,
        source: Option<DiagnosedSource>,
        names: &[String],
        permission: &'static str,
    ) -> Self {
        let last = names.len().saturating_sub(1);
        let accounts = names.iter().map(|name| account_in(name).to_owned());
        let principals =
            std::iter::once(info.principal().map(str::to_owned)).chain(accounts.clone().map(Some));
        let hop = |(index, (principal, account))| DiagnosedHop {
            principal,
            is_principal_likely: index == 0 && info.is_principal_likely(),
            follows: index > 0,
            account,
            permission: if index == last { permission } else { roles::IMPLICIT_DELEGATION },
            finding: Finding::Allowed,
            reason: None,
        };
        let hops = principals.zip(accounts).enumerate().map(hop).collect();
        Self { info, source, hops }
    }

    /// Says that a hop fails, so that nothing is known about the later ones.
    pub(super) fn set_failure(&mut self, index: usize, failure: Failure) {
        for hop in &mut self.hops[index..] {
            hop.finding = Finding::NotReached;
        }
        self.hops[index].finding = failure.finding;
        self.hops[index].reason = failure.reason;
    }

    /// Says that the failing hop isn't certain: it may be this one.
    pub(super) fn set_alternative(&mut self, index: usize, failure: Failure) {
        let hop = &mut self.hops[index];
        if hop.finding.is_allowed() {
            hop.finding = Finding::LikelyAllowed;
        }
        hop.reason = failure.reason;
    }

    /// Returns what the client's credentials report about themselves. Their principal is that of the
    /// first hop.
    pub fn source_info(&self) -> &SourceInfo {
        &self.info
    }

    /// Returns what was found out about the federated identity that the client's credentials start
    /// from, if they start from one.
    pub fn source(&self) -> Option<&DiagnosedSource> {
        self.source.as_ref()
    }

    /// Returns every hop, from the client's credentials to the target.
    pub fn hops(&self) -> &[DiagnosedHop] {
        &self.hops
    }

    /// Returns the hop that fails, if there is one.
    pub fn failure(&self) -> Option<&DiagnosedHop> {
        self.hops.iter().find(|hop| !hop.finding.is_allowed())
    }

    /// Returns the hops one of which fails, the most likely first. It is one hop if that is certain, and
    /// none if the operation is allowed.
    pub fn candidates(&self) -> impl Iterator<Item = &DiagnosedHop> {
        let failure = self.failure();
        let others = self.hops.iter().filter(|hop| hop.reason.is_some() && !hop.is_failure());
        failure.into_iter().chain(others)
    }

    /// Returns whether the operation is allowed.
    pub fn is_allowed(&self) -> bool {
        self.failure().is_none()
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}")?;
        }
        for (index, hop) in self.hops.iter().enumerate() {
            if index > 0 || self.source.is_some() {
                writeln!(f)?;
            }
            write!(f, "{}. {hop}", index + 1)?;
            if let Some(fix) = hop.fix() {
                let todo = fix.command().unwrap_or(fix.advice());
                let likely = if fix.is_member_likely() && hop.is_failure() { LIKELY } else { "" };
                let start = if hop.is_failure() { "fix" } else { "or, if that doesn't help" };
                write!(f, "\n   {start}: {todo}{likely}")?;
            }
        }
        Ok(())
    }
}

/// One hop of a [`Diagnosis`]: a principal that acts as an account.
///
/// ```
/// use gcp_iam_credentials::diagnosis::DiagnosedHop;
///
/// fn fix(hop: &DiagnosedHop) -> String {
///     hop.fix().map_or_else(|| "nothing to do".to_owned(), |fix| fix.advice().to_owned())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct DiagnosedHop {
    principal: Option<String>,
    /// Whether the principal may be another one.
    is_principal_likely: bool,
    /// Whether there is an earlier hop. The principal is then a service account.
    follows: bool,
    account: String,
    permission: &'static str,
    finding: Finding,
    /// Decides what fixes the hop.
    reason: Option<Reason>,
}

impl DiagnosedHop {
    /// Returns the e-mail address of the principal that acts as the account. It is `None` for the
    /// first hop, if the principal of the client's credentials isn't known.
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// Returns the account that the principal acts as.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Returns the permission on the account that the principal needs: the one of the operation on the
    /// target, and `iam.serviceAccounts.implicitDelegation` on a delegate.
    pub fn permission(&self) -> &'static str {
        self.permission
    }

    /// Returns what was found out about the hop.
    pub fn finding(&self) -> &Finding {
        &self.finding
    }

    /// Returns what was found out about the hop, as text for people: one line.
    pub fn explanation(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = self.explain(&mut PrintableWriter(&mut text));
        text
    }

    fn explain(&self, f: &mut impl Write) -> fmt::Result {
        self.finding.explain(f, self.shown_principal(), &self.account)
    }

    fn shown_principal(&self) -> &str {
        self.principal().unwrap_or("the caller")
    }

    /// Returns whether this is the hop that most likely fails. All others are allowed, not reached, or
    /// fail only if it isn't this one.
    fn is_failure(&self) -> bool {
        !self.finding.is_allowed() && !matches!(self.finding, Finding::NotReached)
    }

    /// Returns what fixes the hop, if that is known and if the hop is one of the
    /// [candidates](Diagnosis::candidates).
    pub fn fix(&self) -> Option<Fix> {
        self.reason.as_ref()?.fix(&self.account, &self.member(), self.is_principal_likely)
    }

    /// Returns the principal as IAM policies name it.
    fn member(&self) -> String {
        match &self.principal {
            Some(account) if self.follows => roles::service_account_member(account),
            principal => roles::member(principal.as_deref()),
        }
    }
}

impl fmt::Display for DiagnosedHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = PrintableWriter(f);
        write!(f, "{} -> {}: ", self.shown_principal(), self.account)?;
        self.explain(&mut f)
    }
}
