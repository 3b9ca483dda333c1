//! The official credentials of the crate google-cloud-auth as sources.
//!
//! They have a cache of their own, and don't say when a token expires. So a token is taken for a
//! minute, and then they are asked again: they usually return the same one from their memory.

use std::fmt;
use std::time::{Duration, SystemTime};

use google_cloud_auth::credentials::idtoken::IDTokenCredentials;
use google_cloud_auth::credentials::{CacheableResource, Credentials};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap, header};

use super::{BoxFuture, CacheHints, FetchRequest, SourceInfo, TokenKind, TokenSource};
use crate::headers::USER_PROJECT;
use crate::host::DEFAULT_UNIVERSE;
use crate::{Error, Token, jwt};

/// How long a token is used without asking for it again: 1 min. They replace a token 4 min before it
/// expires.
const LEASE: Duration = Duration::from_secs(60);
/// How much of an ID token's life is left when they replace it: 4 min.
const RENEWAL: Duration = Duration::from_secs(4 * 60);

/// Fetches access tokens.
pub(crate) struct OfficialSource {
    official: Credentials,
    /// The universe in which the tokens will be used.
    universe: String,
    /// The quota project that the program has set.
    quota_project: Option<String>,
}

/// Fetches ID tokens.
pub(crate) struct OfficialIdTokenSource(pub(crate) IDTokenCredentials);

impl OfficialSource {
    pub(crate) fn new(official: Credentials, universe: String, quota_project: Option<String>) -> Self {
        Self { official, universe, quota_project }
    }

    async fn check_universe(&self) -> Result<(), Error> {
        let universe = self.official.universe_domain().await;
        let universe = universe.as_deref().unwrap_or(DEFAULT_UNIVERSE);
        if universe == self.universe {
            return Ok(());
        }
        let problem = format!("must be {}, as for these credentials, got {universe}", self.universe);
        let fix = "set `universe_domain` of `Credentials::builder()`, and call `google_cloud_auth` there";
        Err(Error::invalid("universe_domain", problem).fix_by(fix))
    }

    fn token_in(&self, headers: &HeaderMap) -> Result<Token, Error> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            let problem =
                "must be for OAuth tokens, got official credentials without any, such as an API key";
            return Err(Error::invalid("credentials", problem));
        };
        let bearer = value.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
        let Some(secret) = bearer else {
            return Err(Error::invalid("credentials", "must be for bearer tokens"));
        };
        if let (None, Some(project)) = (&self.quota_project, headers.get(USER_PROJECT)) {
            let problem = format!("must be set here too: the official credentials have {project:?}");
            let fix = "set `quota_project` of `Credentials::builder()`, and call `google_cloud_auth` there";
            return Err(Error::invalid("quota_project", problem).fix_by(fix));
        }
        Token::new(secret, SystemTime::now() + LEASE)
    }
}

impl fmt::Debug for OfficialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfficialSource").field("universe", &self.universe).finish_non_exhaustive()
    }
}

impl TokenSource for OfficialSource {
    fn fetch<'a>(&'a self, _request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(async move {
            self.check_universe().await?;
            match self.official.headers(Extensions::new()).await.map_err(|error| failure(&error))? {
                CacheableResource::New { data, .. } => self.token_in(&data),
                CacheableResource::NotModified => Err(Error::invalid_reply("no headers")),
            }
        })
    }

    fn info(&self) -> SourceInfo {
        let info = SourceInfo::new()
            .with_description("credentials of google-cloud-auth in the program")
            .with_token_kind(TokenKind::AccessToken)
            .with_universe_domain(&self.universe);
        match &self.quota_project {
            Some(project) => info.with_quota_project(project),
            None => info,
        }
    }
}

impl fmt::Debug for OfficialIdTokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfficialIdTokenSource").finish_non_exhaustive()
    }
}

impl TokenSource for OfficialIdTokenSource {
    fn fetch<'a>(&'a self, _request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(async move {
            let token = self.0.id_token().await.map_err(|error| failure(&error))?;
            let expiry = jwt::expiry(&token)?;
            Token::new(token, expiry)
        })
    }

    fn info(&self) -> SourceInfo {
        SourceInfo::new()
            .with_description("ID token credentials of google-cloud-auth in the program")
            .with_token_kind(TokenKind::IdToken)
    }

    fn cache_hints(&self) -> CacheHints {
        CacheHints::new().with_renews_at(RENEWAL)
    }
}

/// Keeps whether it may pass. A part of the text that may contain a server's reply is left out.
fn failure(error: &CredentialsError) -> Error {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    let shown = text.split("body=<").next().unwrap_or_default();
    let shown = shown.trim_end_matches([',', ' ']).to_owned();
    Error::credentials(shown, error.is_transient()).retried()
}
