//! Credentials of this crate for the official clients, and theirs for this crate.

use std::sync::{Mutex, PoisonError};

use google_cloud_auth::credentials as official;
use google_cloud_auth::credentials::idtoken::{IDTokenCredentials, IDTokenCredentialsProvider};
use google_cloud_auth::credentials::{
    AccessToken, AccessTokenCredentials, AccessTokenCredentialsProvider, CacheableResource,
    CredentialsProvider, EntityTag,
};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap, HeaderValue, header};

use super::{Credentials, CredentialsBuilder};
use crate::headers::USER_PROJECT;
use crate::host::DEFAULT_UNIVERSE;
use crate::source::{OfficialIdTokenSource, OfficialSource, TokenKind};
use crate::{Error, Token};

impl Credentials {
    /// Creates credentials from official ones, of the crate google-cloud-auth.
    ///
    /// Those have a cache of their own and don't tell when a token expires, so they are asked again
    /// each minute. API keys and anonymous credentials have no token: each fetch fails with
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput). It also fails if they belong to another
    /// universe than `googleapis.com`, or have a quota project: then say so with
    /// [`CredentialsBuilder::google_cloud_auth`].
    ///
    /// ```no_run
    /// use gcp_iam_credentials::{Credentials, IamCredentialsClient};
    ///
    /// # fn client() -> Result<(), Box<dyn std::error::Error>> {
    /// let official = google_cloud_auth::credentials::Builder::default().build()?;
    /// let source = Credentials::from_google_cloud_auth(official);
    /// let client = IamCredentialsClient::builder().credentials(source).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_google_cloud_auth(official: impl Into<official::Credentials>) -> Self {
        Self::from_source(OfficialSource::new(official.into(), DEFAULT_UNIVERSE.to_owned(), None))
    }

    /// Creates ID token credentials from official ones, of the crate google-cloud-auth.
    ///
    /// The audience is that of the official credentials.
    pub fn from_google_cloud_auth_id_token(official: impl Into<IDTokenCredentials>) -> Self {
        Self::from_source(OfficialIdTokenSource(official.into()))
    }
}

impl CredentialsBuilder {
    /// Creates credentials from official ones, as [`Credentials::from_google_cloud_auth`] does, with
    /// the universe and the quota project that are set here.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if scopes are set: only whoever makes the official credentials can do that.
    pub fn google_cloud_auth(self, official: impl Into<official::Credentials>) -> Result<Credentials, Error> {
        if self.scopes.is_some() {
            let fix = "set the scopes when you make the official credentials";
            return Err(Error::invalid("scopes", "must not be set for official credentials").fix_by(fix));
        }
        let universe = self.universe_domain.unwrap_or_else(|| DEFAULT_UNIVERSE.to_owned());
        let source = OfficialSource::new(official.into(), universe, self.quota_project);
        Ok(Credentials::from_source(source))
    }
}

/// The official clients take these credentials. They send the token, and the quota project if there is
/// one. ID tokens fail with an error.
///
/// ```
/// use gcp_iam_credentials::{Credentials, Token};
///
/// let acting = Credentials::fixed(Token::new("secret", None)?);
/// let official = google_cloud_auth::credentials::Credentials::from(acting);
/// // let storage = Storage::builder().with_credentials(official).build().await?;
/// # Ok::<(), gcp_iam_credentials::Error>(())
/// ```
impl From<Credentials> for official::Credentials {
    fn from(credentials: Credentials) -> Self {
        Self::from(Provider::new(credentials))
    }
}

/// As for the official `Credentials`. Self-signed JWTs fail with an error, too.
impl From<Credentials> for AccessTokenCredentials {
    fn from(credentials: Credentials) -> Self {
        Self::from(Provider::new(credentials))
    }
}

/// Everything but credentials that are known to return ID tokens fails with an error: an access token
/// must not get to an application.
impl From<Credentials> for IDTokenCredentials {
    fn from(credentials: Credentials) -> Self {
        Self::from(Provider::new(credentials))
    }
}

/// Credentials as the official crate sees them.
#[derive(Debug)]
struct Provider {
    credentials: Credentials,
    quota_project: Option<HeaderValue>,
    /// The last token, and the tag by which callers know it.
    last: Mutex<Option<(Token, EntityTag)>>,
}

impl Provider {
    fn new(credentials: Credentials) -> Self {
        let project = credentials.info().quota_project().and_then(|text| HeaderValue::from_str(text).ok());
        Self { credentials, quota_project: project, last: Mutex::new(None) }
    }

    async fn token(&self, accepts: fn(Option<TokenKind>) -> bool) -> Result<Token, CredentialsError> {
        let kind = self.credentials.info().token_kind();
        if !accepts(kind) {
            let got = kind.map_or("credentials of an unknown kind", TokenKind::plural);
            let problem = format!("must be of the kind that the official client sends, got {got}");
            let fix = "make them with `access_token` or `id_token` of `Impersonation`";
            return Err(failure(Error::invalid("credentials", problem).fix_by(fix)));
        }
        self.credentials.token().await.map_err(failure)
    }

    /// Returns the tag of this token: the same one as long as the token is the same.
    fn tag(&self, token: &Token) -> EntityTag {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((known, tag)) if known.is_same(token) => tag.clone(),
            _ => {
                let tag = EntityTag::new();
                *last = Some((token.clone(), tag.clone()));
                tag
            }
        }
    }
}

impl CredentialsProvider for Provider {
    async fn headers(
        &self,
        extensions: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let token = self.token(|kind| kind != Some(TokenKind::IdToken)).await?;
        let tag = self.tag(&token);
        if extensions.get::<EntityTag>() == Some(&tag) {
            return Ok(CacheableResource::NotModified);
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, token.header_value().clone());
        if let Some(project) = &self.quota_project {
            headers.insert(USER_PROJECT, project.clone());
        }
        Ok(CacheableResource::New { entity_tag: tag, data: headers })
    }

    async fn universe_domain(&self) -> Option<String> {
        self.credentials.info().universe_domain().map(str::to_owned)
    }
}

impl AccessTokenCredentialsProvider for Provider {
    async fn access_token(&self) -> Result<AccessToken, CredentialsError> {
        let token = self.token(|kind| matches!(kind, None | Some(TokenKind::AccessToken))).await?;
        Ok(AccessToken { token: token.secret().to_owned() })
    }
}

impl IDTokenCredentialsProvider for Provider {
    async fn id_token(&self) -> Result<String, CredentialsError> {
        let token = self.token(|kind| kind == Some(TokenKind::IdToken)).await?;
        Ok(token.secret().to_owned())
    }
}

fn failure(error: Error) -> CredentialsError {
    CredentialsError::from_source(error.is_transient(), error)
}
