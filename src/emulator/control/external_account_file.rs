//! Credential files of external accounts.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::emulator::error::ApiError;
use crate::emulator::iam::federation::external_identity::ExternalIdentity;
use crate::emulator::iam::federation::names::audience_of;
use crate::emulator::iam::federation::platform_pages as pages;
use crate::emulator::state::EmulatorState;
use crate::service_account_path;
use crate::sts_protocol::{JWT_TYPES, TOKEN_PATH};

/// Where a credential file of an external account says that its tokens come from.
///
/// ```
/// use gcp_iam_credentials::emulator::SubjectTokenSource;
///
/// let projected = SubjectTokenSource::File("/var/run/secrets/token".to_owned());
/// # let _ = projected;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubjectTokenSource {
    /// A page of the emulator that returns the token as text.
    #[default]
    Url,
    /// A file at this path, as Kubernetes projects it. The test writes the token there.
    File(String),
    /// The token endpoint of GitHub Actions.
    GithubActions,
    /// The metadata server of Azure.
    Azure,
    /// A command that prints the token: it runs `curl`.
    Executable,
}

impl SubjectTokenSource {
    /// Returns the source with this name on the control pages.
    pub(crate) fn from_name(name: &str, path: Option<String>) -> Result<Self, ApiError> {
        let source = match (name, path) {
            ("file", Some(path)) => return Ok(Self::File(path)),
            ("file", None) => return Err(ApiError::invalid_field("path", "the source file needs a path")),
            (_, Some(_)) => return Err(ApiError::invalid_field("path", "only the source file has a path")),
            ("" | "url", _) => Self::Url,
            ("githubActions", _) => Self::GithubActions,
            ("azure", _) => Self::Azure,
            ("executable", _) => Self::Executable,
            _ => {
                let expected = "a source is url, file, githubActions, azure or executable";
                return Err(ApiError::invalid_field("source", expected));
            }
        };
        Ok(source)
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
        }
    }
}

/// What the credential file of an external account contains.
///
/// By default, the token comes from a URL, and the federated token is used without an impersonation.
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
    source: SubjectTokenSource,
    target: Option<String>,
    lifetime: Option<Duration>,
}

impl ExternalAccountFile {
    /// Returns a file whose token comes from a URL, and that impersonates nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where the token comes from. Default: [`SubjectTokenSource::Url`].
    #[must_use]
    pub fn source(mut self, source: SubjectTokenSource) -> Self {
        self.source = source;
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

    /// Returns the file for an account of the policy.
    pub(super) fn to_json(&self, state: &EmulatorState, account: &str) -> Result<Value, ApiError> {
        let (identity, endpoint) = (ExternalIdentity::find(&state.identities, account)?, &state.endpoint);
        let mut file = json!({
            "type": "external_account",
            "audience": audience_of(identity.provider()?),
            "subject_token_type": JWT_TYPES[0],
            "token_url": format!("{endpoint}{TOKEN_PATH}"),
            "credential_source": self.source.to_json(endpoint, account, &identity.audience()?),
            "universe_domain": "googleapis.com",
        });
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
        Ok(file)
    }
}
