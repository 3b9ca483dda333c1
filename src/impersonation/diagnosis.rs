//! Finds out why an impersonation fails, hop by hop.

mod finding;
mod fix;
mod probe;
mod report;
mod search;
mod source;

use self::finding::Failure;
pub use self::finding::Finding;
pub use self::fix::Fix;
use self::probe::Probe;
pub use self::report::{DiagnosedHop, Diagnosis};
use self::search::failing_hop;
pub use self::source::DiagnosedSource;
use super::{Impersonation, Verb};
use crate::error::RefusalCause;
use crate::{Error, roles};

/// What the target is used for.
///
/// ```
/// use gcp_iam_credentials::diagnosis::Operation;
///
/// let permission = Operation::IdToken.permission();
/// assert_eq!(permission, "iam.serviceAccounts.getOpenIdToken");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Make access tokens. With a subject, the target signs assertions instead, so
    /// [`SignJwt`](Self::SignJwt) is tried.
    AccessToken,
    /// Make ID tokens.
    IdToken,
    /// Sign bytes.
    SignBlob,
    /// Sign JWTs, self-signed JWTs included.
    SignJwt,
}

impl Operation {
    const ALL: [Self; 4] = [Self::AccessToken, Self::IdToken, Self::SignBlob, Self::SignJwt];

    /// Returns the permission that the operation needs on the target.
    pub fn permission(self) -> &'static str {
        match self {
            Self::AccessToken => roles::GET_ACCESS_TOKEN,
            Self::IdToken => roles::GET_OPEN_ID_TOKEN,
            Self::SignBlob => roles::SIGN_BLOB,
            Self::SignJwt => roles::SIGN_JWT,
        }
    }
}

impl Impersonation {
    /// Finds out whether `operation` is allowed, and if it isn't, which hop of the chain fails and
    /// how to fix it.
    ///
    /// Tries the operation on the target. If a grant is missing, tries all operations on the target and
    /// then on the delegates, the last one first, until one succeeds: at most four calls for each
    /// account. The tokens have the narrowest scope. Tokens and signatures are dropped at once. All
    /// calls appear in the audit logs.
    ///
    /// If the client's credentials are a federated identity, the diagnosis starts with its subject
    /// token: see [`Diagnosis::source`]. If they are impersonated themselves, and that is refused, the
    /// first hop has the finding [`SourceFailed`](Finding::SourceFailed).
    ///
    /// An outage ends the diagnosis: nothing is known about any hop then. The first one has the finding
    /// [`Other`](Finding::Other).
    ///
    /// A *likely* finding is one that the calls can't prove: if nothing can be done over a delegate,
    /// either the delegate lacks the grant on the next account, or it may not be used as a delegate.
    /// [`Diagnosis::candidates`] returns both hops, and the report contains both commands.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput`, without sending a request, if the target, a delegate or an option is
    /// invalid, or if an option is set that the operation can't use. Every other failure is a
    /// [`Finding`].
    ///
    /// ```no_run
    /// use gcp_iam_credentials::IamCredentialsClient;
    /// use gcp_iam_credentials::diagnosis::Operation;
    ///
    /// # async fn why(client: IamCredentialsClient) -> Result<(), gcp_iam_credentials::Error> {
    /// let diagnosis = client
    ///     .impersonate("deployer@project.iam.gserviceaccount.com")
    ///     .delegates(["broker@project.iam.gserviceaccount.com"])
    ///     .diagnose(Operation::AccessToken)
    ///     .await?;
    /// println!("{diagnosis}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn diagnose(&self, operation: Operation) -> Result<Diagnosis, Error> {
        self.check_for(operation)?;
        let mut chain = self.delegates.clone()?;
        chain.push(self.target.clone()?.into_wire());
        let probe = Probe::new(&self.client, &chain, self.lifetime);
        let probed = self.probed(operation);

        let source = self.diagnose_source().await;
        // Some sources know their principal only after an exchange.
        let info = self.client.credentials().info();
        let principal = info.principal().map(str::to_owned);
        let mut diagnosis = Diagnosis::allowed(info, source, &chain, probed.permission());
        if let Some(error) = diagnosis.source().and_then(DiagnosedSource::error).cloned() {
            diagnosis.set_failure(0, Failure::source(error));
            return Ok(diagnosis);
        }
        let Err(error) = probe.call(probed, probe.last()).await else { return Ok(diagnosis) };
        let failing = match failing_hop(&probe, probed, &error).await {
            Ok(failing) => failing,
            Err(error) => {
                diagnosis.set_failure(0, Failure::other(error));
                return Ok(diagnosis);
            }
        };
        let missing = |hop: usize, certain| {
            let needed = if hop == probe.last() { probed.permission() } else { roles::IMPLICIT_DELEGATION };
            Failure::missing(needed, certain, principal.as_deref().filter(|_| hop == 0))
        };
        let failure = match error.refusal() {
            Some(RefusalCause::MissingRole { .. }) => missing(failing.index, failing.certain),
            _ => Failure::other(error),
        };
        diagnosis.set_failure(failing.index, failure);
        if let Some(other) = failing.alternative {
            diagnosis.set_alternative(other, missing(other, false));
        }
        Ok(diagnosis)
    }

    /// Checks the options in the same way as the verb for this operation.
    fn check_for(&self, operation: Operation) -> Result<(), Error> {
        match operation {
            Operation::AccessToken => self.access_token_source([probe::SCOPE]).map(drop),
            Operation::IdToken => self.id_token_source(probe::AUDIENCE).map(drop),
            Operation::SignBlob => self.check_options(Verb::Signer),
            Operation::SignJwt => {
                self.check_options(Verb::SelfSignedJwt)?;
                self.self_signed_lifetime().map(drop)
            }
        }
    }

    /// Returns the operation that the target performs.
    fn probed(&self, operation: Operation) -> Operation {
        match self.subject {
            Some(_) => Operation::SignJwt,
            None => operation,
        }
    }
}
