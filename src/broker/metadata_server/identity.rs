//! The account of a metadata server: what its pages say, and its tokens.

use std::time::Duration;

use http::StatusCode;

use crate::Error;
use crate::broker::metadata::{Failure, checked_project, machine_of};
use crate::broker::renewal;
use crate::broker::scopes::granted;
use crate::host::DEFAULT_UNIVERSE;
use crate::metadata_protocol::{Backend, Machine, Query};
use crate::pool::PooledImpersonation;

/// One service account, with the scopes of its tokens.
pub(super) struct Identity {
    impersonation: PooledImpersonation,
    email: String,
    universe: String,
    scopes: Vec<String>,
    project: Option<String>,
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
        let project = project.map(checked_project).transpose()?;
        Ok(Self { impersonation, email, universe, scopes: scopes.to_vec(), project })
    }
}

impl Backend for Identity {
    type Failure = Failure;

    fn machine(&self) -> Machine {
        machine_of(&self.email, self.scopes.clone(), self.project.as_deref(), &self.universe)
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
