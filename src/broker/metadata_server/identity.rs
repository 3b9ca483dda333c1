//! The account of a metadata server: what its pages say, and its tokens.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;

use super::renewal;
use super::scopes::granted;
use crate::host::DEFAULT_UNIVERSE;
use crate::metadata_protocol::{Backend, Machine, MachineAccount, Query, Refusal};
use crate::pool::PooledImpersonation;
use crate::{Error, ErrorKind};

/// The name of the machine that the server says it belongs to.
const MACHINE: &str = "iamcreds";

/// The end of the e-mail addresses of service accounts, after the project.
const ACCOUNTS: &str = ".iam.gserviceaccount.com";

/// One service account, with the scopes of its tokens.
pub(super) struct Identity {
    impersonation: PooledImpersonation,
    email: String,
    universe: String,
    scopes: Vec<String>,
    project: Option<String>,
}

/// Why a request gets no token, or no page.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Identity {
    /// # Errors
    ///
    /// `InvalidInput` if the impersonation, a scope or the project is invalid.
    pub(super) fn new(
        impersonation: PooledImpersonation,
        scopes: &[String],
        project: Option<String>,
    ) -> Result<Self, Error> {
        let info = impersonation.access_token(scopes)?.info();
        let email = info.principal().unwrap_or_default().to_owned();
        let universe = info.universe_domain().unwrap_or(DEFAULT_UNIVERSE).to_owned();
        let project = match project {
            Some(project) => Some(checked_project(project)?),
            None => project_of(&email).map(str::to_owned),
        };
        Ok(Self { impersonation, email, universe, scopes: scopes.to_vec(), project })
    }
}

impl Backend for Identity {
    type Failure = Failure;

    fn machine(&self) -> Machine {
        Machine {
            project: self.project.clone(),
            project_number: 0,
            universe: self.universe.clone(),
            name: MACHINE.to_owned(),
            id: 0,
            zone: None,
            created: 0,
            attributes: BTreeMap::new(),
            project_attributes: BTreeMap::new(),
            licenses: Vec::new(),
            account: Some(MachineAccount { email: self.email.clone(), scopes: self.scopes.clone() }),
        }
    }

    async fn access_token(&self, scopes: &[String]) -> Result<(String, Duration), Failure> {
        let Some(granted) = granted(&self.scopes, scopes) else {
            let message = format!(
                "the metadata server has none of the scopes {}\nfix: start it with the scope that the program needs",
                scopes.join(" ")
            );
            return Err(Failure::new(StatusCode::FORBIDDEN, message));
        };
        let (token, left) = renewal::token(&self.impersonation.access_token(granted)?).await?;
        Ok((token.secret().to_owned(), left))
    }

    async fn id_token(&self, query: &Query) -> Result<String, Failure> {
        let options = self.impersonation.clone().for_id_tokens().include_email(query.full);
        let (token, _) = renewal::token(&options.id_token(&query.audience)?).await?;
        Ok(token.secret().to_owned())
    }
}

impl Failure {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.status, refusal.message)
    }
}

impl From<Error> for Failure {
    /// Clients repeat a request after a status from 500.
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            _ if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        };
        Self::new(status, format!("{error:#}"))
    }
}

/// Returns the project in the e-mail address of a service account.
fn project_of(email: &str) -> Option<&str> {
    let (_, domain) = email.split_once('@')?;
    domain.strip_suffix(ACCOUNTS)
}

fn checked_project(project: String) -> Result<String, Error> {
    let is_legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':');
    match !project.is_empty() && project.bytes().all(is_legal) {
        true => Ok(project),
        false => Err(Error::invalid("project", format!("must be a project id, got {project:?}"))),
    }
}
