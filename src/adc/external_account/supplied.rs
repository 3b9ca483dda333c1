//! Federated identities whose subject tokens the program supplies.

use std::future::Future;

use super::{AUDIENCE, TOKEN_TYPE, TOKEN_URL, name_problem, token_type_problem};
use crate::adc::reader::{Reader, default_scopes};
use crate::adc::settings::Settings;
use crate::credentials::{CredentialsBuilder, FederationOptions};
use crate::host::Service;
use crate::source::external::{
    self, ExternalAccount, ExternalAccountSource, SubjectTokenRequest, SubjectTokenSource, SupplierSource,
};
use crate::source::token_endpoint::TokenEndpoint;
use crate::source::{SourceInfo, TokenKind};
use crate::sts_protocol::{TOKEN_PATH, is_workforce_audience};
use crate::{Credentials, Error, headers, scopes};

const USER_PROJECT: &str = "workforce_user_project";

impl Credentials {
    /// Creates credentials of a federated identity, whose subject tokens a closure supplies.
    ///
    /// A subject token is a token of another platform that proves the identity. Google's Security Token
    /// Service exchanges it for an access token. The supplier is called for each exchange, about
    /// once an hour, so it must return a token that is valid at that time.
    ///
    /// `audience` is the name of the provider that knows the identity, and `subject_token_type` the type
    /// of the supplier's tokens, as in the fields of these names in an `external_account` file.
    /// [`builder`](Self::builder) has options:
    /// [`external_account`](CredentialsBuilder::external_account).
    ///
    /// ```
    /// use gcp_iam_credentials::{Credentials, Error, IamCredentialsClient};
    ///
    /// # fn main() -> Result<(), Error> {
    /// let provider = "//iam.googleapis.com/projects/12/locations/global/\
    ///                 workloadIdentityPools/ci/providers/buildkite";
    /// let federated = Credentials::external_account(
    ///     provider,
    ///     "urn:ietf:params:oauth:token-type:jwt",
    ///     |request| async move {
    ///         // Ask the platform for a token. Errors keep their transience.
    ///         let audience = format!("https:{}", request.audience());
    ///         token_of_platform(&audience).await.map_err(Error::transient)
    ///     },
    /// )?;
    /// let client = IamCredentialsClient::builder().credentials(federated).build()?;
    /// let acting = client
    ///     .impersonate("deployer@project.iam.gserviceaccount.com")
    ///     .id_token("https://my-service.run.app")?;
    /// # Ok(())
    /// # }
    /// # async fn token_of_platform(_: &str) -> Result<String, std::io::Error> { Ok("t".into()) }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the audience or the type is invalid. Nothing is sent.
    pub fn external_account<F, T>(
        audience: impl AsRef<str>,
        subject_token_type: impl AsRef<str>,
        supplier: F,
    ) -> Result<Self, Error>
    where
        F: Fn(SubjectTokenRequest) -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, Error>> + Send + 'static,
    {
        Self::builder().external_account(audience, subject_token_type, supplier)
    }
}

impl CredentialsBuilder {
    /// Creates credentials of a federated identity, like [`Credentials::external_account`].
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the audience, the type or an option is invalid. Nothing is sent.
    pub fn external_account<F, T>(
        mut self,
        audience: impl AsRef<str>,
        subject_token_type: impl AsRef<str>,
        supplier: F,
    ) -> Result<Credentials, Error>
    where
        F: Fn(SubjectTokenRequest) -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, Error>> + Send + 'static,
    {
        let options = std::mem::take(&mut self.federation);
        let environment = self.environment();
        let settings = Settings::new(self, &environment)?;
        let account =
            account(audience.as_ref(), subject_token_type.as_ref(), options.user_project.as_deref())?;
        let account = account.described_by(settings.provider_description.as_ref())?;
        let supplier = SupplierSource::new(supplier, &account.audience, &account.subject_token_type);
        let reader = Reader { settings, path: None, reason: "" };
        reader.supplied(account, Box::new(supplier), &options)
    }
}

impl Reader {
    fn supplied(
        &self,
        account: ExternalAccount,
        subject_tokens: Box<dyn SubjectTokenSource>,
        options: &FederationOptions,
    ) -> Result<Credentials, Error> {
        let settings = &self.settings;
        let universe = &*settings.trust.universe;
        let usual = format!("https://{}{TOKEN_PATH}", Service::Sts.host(universe));
        let token_url = options.token_url.as_deref().unwrap_or(&usual);
        let endpoint = TokenEndpoint::new(&settings.http, token_url, TOKEN_URL)?;
        let requested = settings.scopes.clone().unwrap_or_else(default_scopes);
        let info = SourceInfo::new().with_universe_domain(universe).with_token_kind(TokenKind::AccessToken);
        let Some(target) = &options.target else {
            let info = match &settings.quota_project {
                Some(project) => info.with_quota_project(project),
                None => info,
            };
            let source =
                ExternalAccountSource::new(account, subject_tokens, endpoint, &requested, None, info);
            return Ok(Credentials::from_source(source));
        };
        let scopes = [scopes::IAM.to_owned()];
        let impersonation = Some(external::Impersonation { has_lifetime: false });
        let source =
            ExternalAccountSource::new(account, subject_tokens, endpoint, &scopes, impersonation, info);
        let server = format!("https://{}", Service::IamCredentials.host(universe));
        let client = settings.client(Credentials::from_source(source), universe, &server)?;
        let impersonation = client.impersonate(target);
        match &settings.quota_project {
            Some(project) => impersonation.quota_project(project).access_token(requested),
            None => impersonation.access_token(requested),
        }
    }
}

fn account(
    audience: &str,
    subject_token_type: &str,
    user_project: Option<&str>,
) -> Result<ExternalAccount, Error> {
    check(AUDIENCE, name_problem(audience))?;
    check(TOKEN_TYPE, token_type_problem(subject_token_type))?;
    if let Some(project) = user_project {
        headers::quota_project(project, USER_PROJECT)?;
        let problem = "can't be set, because the audience isn't in a workforce pool";
        check(USER_PROJECT, (!is_workforce_audience(audience)).then_some(problem))?;
    }
    Ok(ExternalAccount {
        audience: audience.into(),
        subject_token_type: subject_token_type.into(),
        client: None,
        user_project: user_project.map(Into::into),
        description: None,
    })
}

fn check(field: &'static str, problem: Option<&'static str>) -> Result<(), Error> {
    problem.map_or(Ok(()), |problem| Err(Error::invalid(field, problem)))
}
