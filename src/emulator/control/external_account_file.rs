//! Credential files of external accounts.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::emulator::error::ApiError;
use crate::emulator::iam::federation::external_identity::ExternalIdentity;
use crate::emulator::iam::federation::names::{audience_of, is_workforce};
use crate::emulator::iam::federation::platform_pages as pages;
use crate::emulator::state::EmulatorState;
use crate::service_account_path;
use crate::sts_protocol::{AWS_TYPE, INTROSPECT_PATH, JWT_TYPES, TOKEN_PATH};

/// The request to AWS that is signed.
const VERIFICATION_URL: &str =
    "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15";

/// The source of the tokens in a credential file of an external account.
///
/// ```
/// use gcp_iam_credentials::emulator::SubjectTokenSource;
///
/// let projected = SubjectTokenSource::File("/var/run/secrets/token".to_owned());
/// # let _ = projected;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubjectTokenSource {
    /// A page of the emulator that returns the token as text.
    Url,
    /// A file at this path, as Kubernetes projects it. The test writes the token there.
    File(String),
    /// The token endpoint of GitHub Actions.
    GithubActions,
    /// The metadata server of Azure.
    Azure,
    /// A command that prints the token: it runs `curl`.
    Executable,
    /// The metadata server of AWS, in its second version (IMDSv2). AWS's environment variables have
    /// priority.
    Aws,
    /// The metadata server of AWS, in its first version.
    AwsImdsV1,
}

impl SubjectTokenSource {
    /// Returns the source with this name on the control pages, or none for the usual one.
    pub(crate) fn from_name(name: &str, path: Option<String>) -> Result<Option<Self>, ApiError> {
        let source = match (name, path) {
            ("file", Some(path)) => Self::File(path),
            ("file", None) => return Err(ApiError::invalid_field("path", "the source file needs a path")),
            (_, Some(_)) => return Err(ApiError::invalid_field("path", "only the source file has a path")),
            ("", _) => return Ok(None),
            ("url", _) => Self::Url,
            ("githubActions", _) => Self::GithubActions,
            ("azure", _) => Self::Azure,
            ("executable", _) => Self::Executable,
            ("aws", _) => Self::Aws,
            ("awsImdsV1", _) => Self::AwsImdsV1,
            _ => {
                let expected = "a source is url, file, githubActions, azure, executable, aws or awsImdsV1";
                return Err(ApiError::invalid_field("source", expected));
            }
        };
        Ok(Some(source))
    }

    fn is_of_aws(&self) -> bool {
        matches!(self, Self::Aws | Self::AwsImdsV1)
    }

    /// Returns the field `credential_source` of the file.
    fn to_json(&self, endpoint: &str, account: &str, audience: &str) -> Value {
        let url = |page| pages::url(endpoint, account, page);
        let audience = utf8_percent_encode(audience, NON_ALPHANUMERIC);
        let json_field = |name| json!({"type": "json", "subject_token_field_name": name});
        match self {
            Self::Url => json!({"url": url(pages::TOKEN), "format": {"type": "text"}}),
            Self::File(path) => json!({"file": path, "format": {"type": "text"}}),
            Self::GithubActions => json!({
                "url": format!("{}&audience={audience}", pages::github_request_url(endpoint, account)),
                "headers": {"Authorization": format!("Bearer {}", pages::github_request_token(account))},
                "format": json_field("value"),
            }),
            Self::Azure => json!({
                "url": format!("{}?api-version=2018-02-01&resource={audience}", url(pages::AZURE)),
                "headers": {"Metadata": "True"},
                "format": json_field("access_token"),
            }),
            Self::Executable => {
                let command = format!("curl -sf {}", url(pages::EXECUTABLE));
                json!({"executable": {"command": command, "timeout_millis": 30_000}})
            }
            Self::Aws | Self::AwsImdsV1 => {
                let mut source = json!({
                    "environment_id": "aws1",
                    "region_url": url(pages::AWS_ZONE),
                    "url": url(pages::AWS_ROLES),
                    "regional_cred_verification_url": VERIFICATION_URL,
                });
                if *self == Self::Aws {
                    source["imdsv2_session_token_url"] = url(pages::AWS_TOKEN).into();
                }
                source
            }
        }
    }
}

/// What the credential file of an external account contains.
///
/// By default, the token comes from a URL, or from AWS's metadata server if the account is of AWS, and the
/// federated token is used without an impersonation.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use gcp_iam_credentials::emulator::{
///     Emulator, ExternalAccount, ExternalAccountFile, IdentityProvider, Policy,
/// };
///
/// let provider = "projects/1/locations/global/workloadIdentityPools/ci/providers/p";
/// let policy = Policy::new()
///     .identity_provider(provider, IdentityProvider::oidc("https://issuer.example"))
///     .external_account("job", ExternalAccount::new(provider));
/// let emulator = Emulator::builder().policy(policy).start().await?;
///
/// let target = "sa@p.iam.gserviceaccount.com";
/// let file = ExternalAccountFile::new().impersonate(target).lifetime(Duration::from_secs(600));
/// let json = emulator.external_account_json("job", &file)?;
/// assert!(json.contains("external_account"));
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct ExternalAccountFile {
    /// `None` for the usual source of the platform.
    source: Option<SubjectTokenSource>,
    target: Option<String>,
    lifetime: Option<Duration>,
    user_project: Option<String>,
}

impl ExternalAccountFile {
    /// Returns a file that impersonates nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where the token comes from. Default: [`SubjectTokenSource::Aws`] for accounts of AWS, otherwise
    /// [`SubjectTokenSource::Url`].
    #[must_use]
    pub fn source(mut self, source: SubjectTokenSource) -> Self {
        self.source = Some(source);
        self
    }

    /// Sets the service account that the file impersonates. Default: none.
    #[must_use]
    pub fn impersonate(mut self, email: &str) -> Self {
        self.target = Some(email.to_owned());
        self
    }

    /// Sets how long the token of the service account lives, in whole seconds. Default: what the client
    /// chooses, which is 1 h.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Sets the project that pays for the exchange: only for accounts of a workforce pool. Default: none.
    #[must_use]
    pub fn user_project(mut self, project: &str) -> Self {
        self.user_project = Some(project.to_owned());
        self
    }

    /// Returns the file for an account of the policy.
    pub(super) fn to_json(&self, state: &EmulatorState, account: &str) -> Result<Value, ApiError> {
        let (identity, endpoint) = (ExternalIdentity::find(&state.identities, account)?, &state.endpoint);
        let source = self.source_for(&identity)?;
        let audience = if source.is_of_aws() { String::new() } else { identity.audience()? };
        let mut file = json!({
            "type": "external_account",
            "audience": audience_of(identity.provider()?),
            "subject_token_type": if source.is_of_aws() { AWS_TYPE } else { JWT_TYPES[0] },
            "token_url": format!("{endpoint}{TOKEN_PATH}"),
            "token_info_url": format!("{endpoint}{INTROSPECT_PATH}"),
            "credential_source": source.to_json(endpoint, account, &audience),
            "universe_domain": "googleapis.com",
        });
        if let Some(project) = &self.user_project {
            if !is_workforce(identity.provider()?) {
                return Err(ApiError::invalid_field(
                    "userProject",
                    "only a workforce pool has a userProject",
                ));
            }
            file["workforce_pool_user_project"] = project.as_str().into();
        }
        self.add_impersonation(&mut file, endpoint)?;
        Ok(file)
    }

    /// Returns the source, if the account's platform has it.
    fn source_for(&self, identity: &ExternalIdentity<'_>) -> Result<SubjectTokenSource, ApiError> {
        let is_aws = identity.aws().is_ok();
        let usual = if is_aws { SubjectTokenSource::Aws } else { SubjectTokenSource::Url };
        match &self.source {
            None => Ok(usual),
            Some(source) if source.is_of_aws() == is_aws => Ok(source.clone()),
            Some(_) if is_aws => {
                Err(ApiError::invalid_field("source", "an account of AWS has the sources aws and awsImdsV1"))
            }
            Some(_) => Err(ApiError::invalid_field("source", "the account isn't of AWS")),
        }
    }

    fn add_impersonation(&self, file: &mut Value, endpoint: &str) -> Result<(), ApiError> {
        match (&self.target, self.lifetime) {
            (Some(target), lifetime) => {
                let name = service_account_path("-", target);
                file["service_account_impersonation_url"] =
                    format!("{endpoint}/v1/{name}:generateAccessToken").into();
                if let Some(lifetime) = lifetime {
                    file["service_account_impersonation"] =
                        json!({"token_lifetime_seconds": lifetime.as_secs()});
                }
            }
            (None, Some(_)) => {
                return Err(ApiError::invalid_field(
                    "lifetime",
                    "a lifetime needs an account to impersonate",
                ));
            }
            (None, None) => {}
        }
        Ok(())
    }
}
