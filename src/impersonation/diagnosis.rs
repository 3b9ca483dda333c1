//! Finds out why an impersonation fails, hop by hop.

mod finding;
mod probe;

use std::fmt;

pub use self::finding::Finding;
use self::probe::Probe;
use super::{Impersonation, Verb};
use crate::error::{RefusalCause, UNKNOWN_MEMBER};
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
    /// Tries the operation on the target. If that fails, requests an access token of each delegate.
    /// The tokens have the narrowest scope. Tokens and signatures are dropped at once. All calls
    /// appear in the audit logs.
    ///
    /// A *likely* finding is one that the calls can't prove: an access token of a delegate needs the
    /// permission `getAccessToken`, but the use as a delegate needs `implicitDelegation`. The role
    /// Token Creator contains both.
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
        let probe = Probe::new(&self.client, &chain, self.probed(operation), self.lifetime);

        let mut hops = self.untried_hops(&chain);
        match probe.target().await {
            Ok(()) => hops.iter_mut().for_each(|hop| hop.finding = Finding::Allowed),
            Err(error) => {
                let (failing, failure) = probe.first_failure(error).await;
                hops[..failing].iter_mut().for_each(|hop| hop.finding = Finding::LikelyAllowed);
                hops[failing].finding = failure.finding;
                hops[failing].cause = failure.cause;
            }
        }
        Ok(Diagnosis { hops })
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

    fn untried_hops(&self, chain: &[String]) -> Vec<DiagnosedHop> {
        let caller = self.client.credentials().info().principal().map(str::to_owned);
        let accounts = chain.iter().map(|name| account(name).to_owned());
        let principals = std::iter::once(caller).chain(accounts.clone().map(Some));
        let hop = |(index, (principal, account))| DiagnosedHop {
            principal,
            follows: index > 0,
            account,
            finding: Finding::NotReached,
            cause: None,
        };
        principals.zip(accounts).enumerate().map(hop).collect()
    }
}

fn account(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The result of [`Impersonation::diagnose`], hop by hop. `Display` prints a report for people.
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
    hops: Vec<DiagnosedHop>,
}

impl Diagnosis {
    /// Returns every hop, from the client's credentials to the target.
    pub fn hops(&self) -> &[DiagnosedHop] {
        &self.hops
    }

    /// Returns the hop that fails, if there is one.
    pub fn failure(&self) -> Option<&DiagnosedHop> {
        self.hops.iter().find(|hop| !hop.finding.is_allowed())
    }

    /// Returns whether the operation is allowed.
    pub fn is_allowed(&self) -> bool {
        self.failure().is_none()
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, hop) in self.hops.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}. {hop}", index + 1)?;
            if let Some(command) = hop.command() {
                write!(f, "\n   fix: {command}")?;
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
///     hop.command().unwrap_or_else(|| format!("see {:?}", hop.finding()))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct DiagnosedHop {
    principal: Option<String>,
    /// Whether there is an earlier hop. The principal is then a service account.
    follows: bool,
    account: String,
    finding: Finding,
    cause: Option<RefusalCause>,
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

    /// Returns what was found out about the hop.
    pub fn finding(&self) -> &Finding {
        &self.finding
    }

    /// Returns the command that fixes the hop, if there is one.
    pub fn command(&self) -> Option<String> {
        self.cause.as_ref()?.command(&self.account, &self.member())
    }

    /// Returns the principal as IAM policies name it.
    fn member(&self) -> String {
        match &self.principal {
            Some(principal) if self.follows || principal.ends_with(".gserviceaccount.com") => {
                format!("serviceAccount:{principal}")
            }
            Some(principal) => format!("user:{principal}"),
            None => UNKNOWN_MEMBER.to_owned(),
        }
    }
}

impl fmt::Display for DiagnosedHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let principal = self.principal.as_deref().unwrap_or("the caller");
        write!(f, "{principal} -> {}: ", self.account)?;
        self.finding.explain(f, principal, &self.account)
    }
}
