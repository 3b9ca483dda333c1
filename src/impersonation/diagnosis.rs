//! Why impersonation fails: a walk along the chain.

use std::fmt;
use std::time::Duration;

use tonic::Code;

use crate::client::wire_names;
use crate::roles::{GET_ACCESS_TOKEN, SERVICE_USAGE_CONSUMER, TOKEN_CREATOR};
use crate::{Error, ErrorKind, IamCredentialsClient, RetryPolicy, ServiceAccountName, scopes};

/// What a probe's token lives for. It is thrown away at once.
const PROBE_LIFETIME: Duration = Duration::from_secs(300);

impl IamCredentialsClient {
    /// Finds out whether the client may act as `target` through `delegates`, and if not, at which
    /// hop it ends and what mends it.
    ///
    /// It asks for an access token of the target, and if that fails, for one of each account on
    /// the way, with the narrowest scope; the tokens are thrown away. So it leaves traces in the
    /// audit logs, and a *likely* finding is one that the probe cannot prove: a probe of a delegate
    /// tests `getAccessToken` on it, while the way through it needs `implicitDelegation`. The role
    /// Token Creator has both.
    ///
    /// # Errors
    ///
    /// Where the target or a delegate is no name. What goes wrong on the way is a finding.
    ///
    /// ```no_run
    /// # async fn why(client: gcp_iam_credentials::IamCredentialsClient) -> Result<(), gcp_iam_credentials::Error> {
    /// let diagnosis = client.diagnose("deployer@project.iam.gserviceaccount.com", ["middle@project.iam.gserviceaccount.com"]).await?;
    /// println!("{diagnosis}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn diagnose(
        &self,
        target: impl AsRef<str>,
        delegates: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Diagnosis, Error> {
        let target = ServiceAccountName::parse_field(target.as_ref(), "target")?;
        let mut chain = wire_names(delegates)?;
        chain.push(target.into_wire());

        let caller = self.credentials().info().known_principal().map(str::to_owned);
        let accounts: Vec<String> = chain.iter().map(|name| account(name).to_owned()).collect();
        let principals = std::iter::once(caller).chain(accounts.iter().cloned().map(Some));
        let mut hops: Vec<HopDiagnosis> = principals
            .zip(&accounts)
            .enumerate()
            .map(|(index, (principal, account))| HopDiagnosis {
                principal,
                follows: index > 0,
                account: account.clone(),
                finding: Finding::NotReached,
            })
            .collect();

        let last = hops.len() - 1;
        match self.probe(&chain[last], &chain[..last]).await {
            Ok(()) => hops.iter_mut().for_each(|hop| hop.finding = Finding::Allowed),
            Err(error) => {
                let mut blamed = last;
                let mut cause = error;
                for index in 0..last {
                    match self.probe(&chain[index], &chain[..index]).await {
                        Ok(()) => hops[index].finding = Finding::LikelyAllowed,
                        Err(error) => {
                            (blamed, cause) = (index, error);
                            break;
                        }
                    }
                }
                // Only the probe of the target asks for just what the call itself needs.
                hops[blamed].finding = Finding::of(cause, blamed == last);
            }
        }
        Ok(Diagnosis { hops })
    }

    async fn probe(&self, target: &str, delegates: &[String]) -> Result<(), Error> {
        let call = self.generate_access_token(target, [scopes::USERINFO_EMAIL]).delegates(delegates);
        call.lifetime(PROBE_LIFETIME).retry(RetryPolicy::new().max_attempts(3)).await.map(drop)
    }
}

fn account(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// What [`IamCredentialsClient::diagnose`] found out, hop by hop. Shown, it is a report for people.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    hops: Vec<HopDiagnosis>,
}

/// One link of the chain: a principal that is to act as an account.
#[derive(Clone, Debug)]
pub struct HopDiagnosis {
    principal: Option<String>,
    /// Whether another hop leads to the principal: it is a service account then.
    follows: bool,
    account: String,
    finding: Finding,
}

/// What a probe found out about one hop.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Finding {
    /// The principal may act as the account.
    Allowed,
    /// The principal may get the account's tokens; that it may also pass through it is likely.
    LikelyAllowed,
    /// An earlier hop fails, so this one was not tried.
    NotReached,
    /// The principal lacks the role on the account; not `certain` where the probe could not ask for
    /// the very permission that is needed.
    MissingRole {
        /// The permission that the service named, or that the probe needs.
        permission: String,
        /// The role that has it.
        role: String,
        /// Whether the probe asked for the very permission that the call needs.
        certain: bool,
    },
    /// The account does not exist, or is too new, or hidden from the caller.
    UnknownAccount,
    /// The API is disabled in this project.
    ApiDisabled {
        /// The project's number or id, where the service told it.
        project: Option<String>,
    },
    /// The source token's scopes do not reach the API.
    ScopeInsufficient,
    /// The caller may not use the quota project.
    QuotaProjectDenied {
        /// The project, where the service told it.
        project: Option<String>,
    },
    /// There is no source token, or the service refuses it.
    BadSource(Error),
    /// Something else; it may pass if [`Error::is_transient`] says so.
    Other(Error),
}

impl Finding {
    fn of(error: Error, certain: bool) -> Self {
        if error.kind() == ErrorKind::Credentials {
            return Self::BadSource(error);
        }
        let Some(service) = error.service() else { return Self::Other(error) };
        let project = || {
            let consumer = service.info("consumer")?;
            Some(consumer.strip_prefix("projects/").unwrap_or(consumer).to_owned())
        };
        match (service.code(), service.reason()) {
            (_, Some("SERVICE_DISABLED")) => Self::ApiDisabled { project: project() },
            (_, Some("ACCESS_TOKEN_SCOPE_INSUFFICIENT")) => Self::ScopeInsufficient,
            (_, Some("USER_PROJECT_DENIED")) => Self::QuotaProjectDenied { project: project() },
            (Code::PermissionDenied, None | Some("IAM_PERMISSION_DENIED")) => Self::MissingRole {
                permission: service.permission().unwrap_or(GET_ACCESS_TOKEN).to_owned(),
                role: TOKEN_CREATOR.to_owned(),
                certain,
            },
            (Code::NotFound, _) => Self::UnknownAccount,
            (Code::Unauthenticated, _) => Self::BadSource(error),
            _ => Self::Other(error),
        }
    }

    /// Whether nothing speaks against the hop.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed | Self::LikelyAllowed)
    }
}

impl Diagnosis {
    /// Every hop, from the client's own credentials to the target.
    pub fn hops(&self) -> &[HopDiagnosis] {
        &self.hops
    }

    /// The hop that fails, if one does.
    pub fn failure(&self) -> Option<&HopDiagnosis> {
        self.hops.iter().find(|hop| !hop.finding.is_allowed())
    }

    /// Whether the client may act as the target.
    pub fn is_allowed(&self) -> bool {
        self.failure().is_none()
    }
}

impl HopDiagnosis {
    /// Who is to act: an e-mail address. `None` for a caller whose name is not known.
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// Whom it is to act as.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// What the probe found out.
    pub fn finding(&self) -> &Finding {
        &self.finding
    }

    /// The command that mends it, where there is one.
    pub fn command(&self) -> Option<String> {
        let account = &self.account;
        let member = || match &self.principal {
            // All but the first are accounts that the hop before leads to.
            Some(principal) if self.follows || principal.ends_with(".gserviceaccount.com") => {
                format!("serviceAccount:{principal}")
            }
            Some(principal) => format!("user:{principal}"),
            None => "MEMBER".to_owned(),
        };
        match &self.finding {
            Finding::MissingRole { role, .. } => Some(format!(
                "gcloud iam service-accounts add-iam-policy-binding {account} --member={} --role={role}",
                member()
            )),
            Finding::ApiDisabled { project } => Some(format!(
                "gcloud services enable iamcredentials.googleapis.com --project={}",
                project.as_deref().unwrap_or("PROJECT")
            )),
            Finding::QuotaProjectDenied { project } => Some(format!(
                "gcloud projects add-iam-policy-binding {} --member={} --role={SERVICE_USAGE_CONSUMER}",
                project.as_deref().unwrap_or("PROJECT"),
                member()
            )),
            Finding::UnknownAccount => Some(format!("gcloud iam service-accounts describe {account}")),
            Finding::ScopeInsufficient => {
                Some(format!("gcloud auth application-default login --scopes={}", scopes::CLOUD_PLATFORM))
            }
            Finding::BadSource(_) => Some("gcloud auth application-default login".to_owned()),
            Finding::Allowed | Finding::LikelyAllowed | Finding::NotReached | Finding::Other(_) => None,
        }
    }
}

impl fmt::Display for HopDiagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let principal = self.principal.as_deref().unwrap_or("the caller");
        write!(f, "{principal} -> {}: ", self.account)?;
        match &self.finding {
            Finding::Allowed => f.write_str("allowed"),
            Finding::LikelyAllowed => f.write_str("likely allowed (it may get its tokens)"),
            Finding::NotReached => f.write_str("not tried: an earlier hop fails"),
            Finding::MissingRole { permission, role, certain } => {
                let likely = if *certain { "" } else { "likely " };
                write!(f, "{likely}missing: {permission} on {}, which {role} has", self.account)
            }
            Finding::UnknownAccount => f.write_str("no such account, or it is too new"),
            Finding::ApiDisabled { project } => {
                let project = project.as_deref().unwrap_or("the caller's project");
                write!(f, "the API iamcredentials.googleapis.com is disabled in {project}")
            }
            Finding::ScopeInsufficient => write!(
                f,
                "the source token's scopes are too narrow: it needs {} or {}",
                scopes::CLOUD_PLATFORM,
                scopes::IAM
            ),
            Finding::QuotaProjectDenied { project } => {
                let project = project.as_deref().unwrap_or("it");
                write!(f, "the quota project is refused: {principal} may not use {project}")
            }
            Finding::BadSource(error) => write!(f, "the source credentials fail: {error}"),
            Finding::Other(error) => write!(f, "failed: {error}"),
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, hop) in self.hops.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{}. {hop}", number + 1)?;
            if let Some(command) = hop.command() {
                write!(f, "\n   mend it: {command}")?;
            }
        }
        Ok(())
    }
}
