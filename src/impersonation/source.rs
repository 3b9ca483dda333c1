//! The source behind impersonated credentials: one call for one token.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use serde_json::json;

use crate::client::{ACCESS_TOKEN_USAGE, ID_TOKEN_USAGE};
use crate::host::DEFAULT_UNIVERSE;
use crate::source::oauth::{self, GOOGLE_TOKEN_URI, TokenEndpoint};
use crate::{
    BoxFuture, CacheHints, Error, Explanation, FetchRequest, Hop, IamCredentialsClient, Impersonation,
    ServiceAccountName, SourceInfo, Token, TokenSource, parse_service_account_path,
};

/// What calls as the target say in `x-goog-api-client` of themselves, as google-auth's do.
const TARGET_USAGE: &str = "cred-type/imp";

/// Who signs in, as whom, and for what.
///
/// Small, since there may be a hundred thousand: what many share is behind one pointer, and the
/// call is made up anew for each token.
pub(super) struct ImpersonatedSource {
    pub(super) client: IamCredentialsClient,
    pub(super) target: ServiceAccountName,
    pub(super) how: Arc<How>,
}

/// All that shapes a token but its principal.
pub(super) struct How {
    pub(super) delegates: Vec<String>,
    pub(super) grant: Grant,
    pub(super) quota_project: Option<String>,
}

/// What is asked for.
pub(super) enum Grant {
    AccessToken { scopes: Vec<String>, lifetime: Duration },
    IdToken { audience: String, include_email: bool },
    SelfSignedJwt { audience: String, lifetime: Duration },
    Subject { subject: String, scope: String, token_uri: String, endpoint: Box<TokenEndpoint> },
}

impl Grant {
    /// Domain-wide delegation, which only the public universe has.
    pub(super) fn subject(
        client: &IamCredentialsClient,
        subject: &str,
        scopes: &[String],
    ) -> Result<Self, Error> {
        if client.universe_domain() != DEFAULT_UNIVERSE {
            let problem = format!("needs the universe {DEFAULT_UNIVERSE}, not {}", client.universe_domain());
            return Err(Error::invalid("subject", problem));
        }
        if !subject.contains('@') || subject.chars().any(char::is_whitespace) {
            return Err(Error::invalid("subject", "is not the e-mail address of a user"));
        }
        // An emulator of the API stands in for the token endpoint as well.
        let token_uri = match client.loopback_endpoint() {
            Some(emulator) => format!("{emulator}/token"),
            None => GOOGLE_TOKEN_URI.to_owned(),
        };
        let endpoint = Box::new(TokenEndpoint::new(&token_uri, "subject")?);
        Ok(Self::Subject { subject: subject.to_owned(), scope: scopes.join(" "), token_uri, endpoint })
    }
}

impl ImpersonatedSource {
    /// Has claims about `principal` signed by the target, valid from now for `lifetime`.
    async fn signed(
        &self,
        mut claims: serde_json::Value,
        lifetime: Duration,
        left: Duration,
    ) -> Result<(String, SystemTime), Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let expiry = Duration::from_secs(now.as_secs()) + lifetime;
        claims["iss"] = json!(self.target.account());
        claims["iat"] = json!(now.as_secs());
        claims["exp"] = json!(expiry.as_secs());
        let mut call = self.client.sign_jwt(&self.target, &claims).delegates(&self.how.delegates);
        call.request.within(left);
        Ok((call.await?.into_secret(), UNIX_EPOCH + Duration::from_secs(expiry.as_secs())))
    }
}

impl TokenSource for ImpersonatedSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        let Self { client, target, how } = self;
        let left = request.time_left();
        match &how.grant {
            Grant::AccessToken { scopes, lifetime } => {
                let mut call = client
                    .generate_access_token(target, scopes)
                    .delegates(&how.delegates)
                    .lifetime(*lifetime);
                call.request.usage(HeaderValue::from_static(ACCESS_TOKEN_USAGE));
                call.request.within(left);
                call.into_future()
            }
            Grant::IdToken { audience, include_email } => {
                let mut call = client
                    .generate_id_token(target, audience)
                    .delegates(&how.delegates)
                    .include_email(*include_email);
                call.request.usage(HeaderValue::from_static(ID_TOKEN_USAGE));
                call.request.within(left);
                call.into_future()
            }
            Grant::SelfSignedJwt { audience, lifetime } => Box::pin(async move {
                let claims = json!({ "sub": target.account(), "aud": audience });
                let (jwt, expiry) = self.signed(claims, *lifetime, left).await?;
                Token::new(jwt, expiry)
                    .map_err(|_| Error::invalid_reply("the signed JWT may not stand in a header"))
            }),
            Grant::Subject { subject, scope, token_uri, endpoint } => Box::pin(async move {
                let claims = json!({ "sub": subject, "scope": scope, "aud": token_uri });
                let (assertion, _) = self.signed(claims, Impersonation::LIFETIME, left).await?;
                endpoint.exchange(oauth::Grant::JwtBearer { assertion: &assertion }, request.deadline()).await
            }),
        }
    }

    fn info(&self) -> SourceInfo {
        let principal = match &self.how.grant {
            Grant::Subject { subject, .. } => subject,
            _ => self.target.account(),
        };
        let info = SourceInfo::new().principal(principal).universe_domain(self.client.universe_domain());
        let info = match &self.how.grant {
            // What takes ID tokens is an application, and no API of Google's.
            Grant::IdToken { .. } => info,
            _ => info.usage(TARGET_USAGE),
        };
        match &self.how.quota_project {
            Some(project) => info.quota_project(project),
            None => info,
        }
    }

    fn explain(&self) -> Explanation {
        let (mut scopes, mut to, mut as_user, mut life) = (Vec::new(), None, None, Impersonation::LIFETIME);
        match &self.how.grant {
            Grant::AccessToken { scopes: asked, lifetime } => (scopes, life) = (asked.clone(), *lifetime),
            Grant::IdToken { audience, .. } => to = Some(audience.clone()),
            Grant::SelfSignedJwt { audience, lifetime } => (to, life) = (Some(audience.clone()), *lifetime),
            Grant::Subject { subject, scope, .. } => {
                scopes = scope.split(' ').map(str::to_owned).collect();
                as_user = Some(subject.clone());
            }
        }
        let account = |path: &String| match parse_service_account_path(path) {
            Some((_, account)) => account.to_owned(),
            None => path.clone(),
        };
        self.client.credentials().explain().then(Hop {
            target: self.target.account().to_owned(),
            subject: as_user,
            delegates: self.how.delegates.iter().map(account).collect(),
            scopes,
            audience: to,
            lifetime: life,
            endpoint: self.client.endpoint(),
        })
    }

    fn cache_hints(&self) -> CacheHints {
        match &self.how.grant {
            Grant::AccessToken { lifetime, .. } | Grant::SelfSignedJwt { lifetime, .. } => {
                CacheHints::new().max_lifetime(*lifetime)
            }
            Grant::IdToken { .. } | Grant::Subject { .. } => {
                CacheHints::new().max_lifetime(Impersonation::LIFETIME)
            }
        }
    }
}
