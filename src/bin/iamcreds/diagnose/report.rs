//! What a diagnosis found, as plain values: the fields of its JSON, and what the diagram shows.

use gcp_iam_credentials::diagnosis::{self, DiagnosedHop, Diagnosis, Finding};
use serde::Serialize;

use super::Purpose;
use crate::failure::{Exit, Failure};

/// A chain, from the source to the target.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Whether the whole chain works.
    pub(super) allowed: bool,
    #[serde(rename = "for")]
    pub(super) purpose: &'static str,
    pub(super) source: Source,
    pub(super) hops: Vec<Hop>,
    #[serde(skip)]
    pub(super) exit: Option<Exit>,
    /// What the source can do with the target, in words: `get access tokens of`.
    #[serde(skip)]
    pub(super) ability: &'static str,
}

/// The credentials that the chain starts from.
#[derive(Debug, Default, Serialize)]
pub(super) struct Source {
    pub(super) description: String,
    pub(super) file: Option<String>,
    pub(super) principal: Option<String>,
    /// `false` if the principal may be another one: an identity provider's mapping decides.
    pub(super) principal_certain: bool,
    /// `allowed`, or `source_failed`.
    pub(super) finding: &'static str,
    /// For people.
    pub(super) explanation: Option<String>,
    pub(super) fix: Option<Fix>,
    /// Whether it exchanges tokens of another platform.
    pub(super) federated: bool,
    #[serde(skip)]
    pub(super) state: State,
}

/// One account on the way to the target, or the target.
#[derive(Debug, Default, Serialize)]
pub(super) struct Hop {
    pub(super) principal: Option<String>,
    pub(super) account: String,
    /// The permission on the account that the principal needs.
    pub(super) permission: &'static str,
    pub(super) finding: &'static str,
    /// Whether the calls prove the finding.
    pub(super) certain: bool,
    /// The role that is missing.
    pub(super) role: Option<String>,
    /// For people.
    pub(super) explanation: String,
    pub(super) fix: Option<Fix>,
    #[serde(skip)]
    pub(super) state: State,
}

/// What to do.
#[derive(Debug, Serialize)]
pub(super) struct Fix {
    /// For people.
    pub(super) advice: String,
    pub(super) command: Option<String>,
    /// `false` if the command only shows more.
    pub(super) changes: bool,
    /// The word in the command that a person has to replace.
    pub(super) placeholder: Option<&'static str>,
    /// The command that shows what else may be wrong, if the first one doesn't help.
    pub(super) check: Option<String>,
    /// `false` if the member that the command names may be another one.
    pub(super) member_certain: bool,
}

/// What the mark of a hop says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Works,
    Fails,
    /// It may be this one that fails, and not the one that most likely does.
    MayFail,
    Unknown,
}

impl Report {
    /// Makes the report of diagnoses, each of which goes on where the one before it ends.
    pub(super) fn new(purpose: Purpose, diagnoses: &[Diagnosis]) -> Self {
        let (purpose, ability) = match purpose {
            Purpose::AccessToken => ("access-token", "get access tokens of"),
            Purpose::IdToken => ("id-token", "get ID tokens of"),
            Purpose::SignBlob => ("sign-blob", "sign bytes as"),
            Purpose::SignJwt => ("sign-jwt", "sign JWTs as"),
        };
        Self {
            allowed: diagnoses.iter().all(Diagnosis::is_allowed),
            purpose,
            source: Source::new(diagnoses),
            hops: diagnoses.iter().flat_map(hops).collect(),
            exit: diagnoses.iter().find_map(exit),
            ability,
        }
    }

    /// Returns the exit code of a chain that doesn't work.
    pub(super) fn exit(&self) -> Option<Exit> {
        self.exit
    }

    /// Returns the target of the last chain that was tried.
    pub(super) fn target(&self) -> &str {
        self.hops.last().map_or("the target", |hop| &hop.account)
    }
}

impl Source {
    fn new(diagnoses: &[Diagnosis]) -> Self {
        let first = diagnoses.first();
        let info = first.map(Diagnosis::source_info);
        let identity = first.and_then(Diagnosis::source);
        let failed = first.and_then(Diagnosis::failure).filter(|hop| is_source_failure(hop));
        let explanation = match identity {
            Some(identity) => Some(identity.explanation()),
            None => failed.map(DiagnosedHop::explanation),
        };
        let fix = identity.and_then(|identity| identity.fix()).or(failed.and_then(DiagnosedHop::fix));
        let description = info.and_then(|info| info.description()).unwrap_or("a custom token source");
        Self {
            description: description.to_owned(),
            file: info.and_then(|info| info.file()).map(|path| path.display().to_string()),
            principal: info.and_then(|info| info.principal()).map(str::to_owned),
            principal_certain: info
                .is_some_and(|info| info.principal().is_some() && !info.is_principal_likely()),
            finding: if failed.is_some() { "source_failed" } else { "allowed" },
            explanation,
            fix: fix.as_ref().map(Fix::new),
            federated: identity.is_some(),
            state: match first.and_then(Diagnosis::failure).map(DiagnosedHop::finding) {
                Some(Finding::SourceFailed(_)) => State::Fails,
                // The call may have failed before the source was asked.
                Some(Finding::Other(_)) if identity.is_none() => State::Unknown,
                _ => State::Works,
            },
        }
    }
}

impl Fix {
    fn new(fix: &diagnosis::Fix) -> Self {
        Self {
            advice: fix.advice().to_owned(),
            command: fix.command().map(str::to_owned),
            changes: fix.changes(),
            placeholder: fix.placeholder(),
            check: fix.check().map(str::to_owned),
            member_certain: !fix.is_member_likely(),
        }
    }
}

fn hops(diagnosis: &Diagnosis) -> impl Iterator<Item = Hop> {
    let failing = diagnosis.hops().iter().position(|hop| !hop.finding().is_allowed());
    diagnosis.hops().iter().enumerate().map(move |(index, hop)| match is_source_failure(hop) {
        // The source has the fix.
        true => Hop {
            explanation: "not known, because the source fails".to_owned(),
            fix: None,
            ..Hop::new(hop, State::Unknown)
        },
        false => Hop::new(hop, state(hop, failing == Some(index))),
    })
}

impl Hop {
    fn new(hop: &DiagnosedHop, state: State) -> Self {
        let (certain, role) = match hop.finding() {
            Finding::MissingRole { certain, role, .. } => (*certain, Some(role.clone())),
            Finding::LikelyAllowed | Finding::NotReached => (false, None),
            _ => (true, None),
        };
        Self {
            principal: hop.principal().map(str::to_owned),
            account: hop.account().to_owned(),
            permission: hop.permission(),
            finding: name(hop.finding()),
            certain,
            role,
            explanation: hop.explanation(),
            fix: hop.fix().as_ref().map(Fix::new),
            state,
        }
    }
}

fn state(hop: &DiagnosedHop, is_failing: bool) -> State {
    match hop.finding() {
        Finding::Allowed => State::Works,
        _ if is_failing => State::Fails,
        _ if hop.fix().is_some() => State::MayFail,
        _ => State::Unknown,
    }
}

fn is_source_failure(hop: &DiagnosedHop) -> bool {
    matches!(hop.finding(), Finding::SourceFailed(_))
}

/// Returns the name of a finding in JSON.
fn name(finding: &Finding) -> &'static str {
    match finding {
        Finding::Allowed => "allowed",
        Finding::LikelyAllowed => "likely_allowed",
        Finding::NotReached => "not_reached",
        Finding::MissingRole { .. } => "missing_role",
        Finding::UnknownAccount => "unknown_account",
        Finding::ApiDisabled { .. } => "api_disabled",
        Finding::ScopeInsufficient => "scope_insufficient",
        Finding::QuotaProjectDenied { .. } => "quota_project_denied",
        Finding::SourceFailed(_) => "source_failed",
        _ => "other",
    }
}

/// Returns the exit code for the failure of a diagnosis.
fn exit(diagnosis: &Diagnosis) -> Option<Exit> {
    Some(match diagnosis.failure()?.finding() {
        Finding::SourceFailed(error) => match Failure::from(error.clone()).exit() {
            Exit::Unavailable => Exit::Unavailable,
            _ => Exit::Credentials,
        },
        Finding::Other(error) => Failure::from(error.clone()).exit(),
        _ => Exit::Denied,
    })
}
