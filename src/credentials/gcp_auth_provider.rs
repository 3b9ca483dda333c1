//! [`Credentials`] where the crate gcp_auth expects a provider.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gcp_auth::TokenProvider;
use serde_json::json;

use super::Credentials;
use crate::name::project_in;
use crate::scopes::coverage::not_covered;
use crate::source::TokenKind;
use crate::{Error, Token};

/// How long gcp_auth takes a token to live that doesn't expire: 1 min. Then it asks again.
const WITHOUT_EXPIRY: Duration = Duration::from_secs(60);

type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<Arc<T>, gcp_auth::Error>> + Send + 'a>>;

/// Everything that takes a provider of gcp_auth takes these credentials. The cache is that of the
/// credentials.
///
/// `token` returns a token only if the credentials can give all requested scopes: the same ones, or
/// wider ones of Google Cloud, such as `cloud-platform` in place of `pubsub`. The scopes of some
/// credentials are decided elsewhere, for example by a machine's metadata server. Their tokens are
/// returned for all scopes, as gcp_auth's own providers do. ID tokens and self-signed JWTs are never
/// returned.
///
/// `project_id` returns the quota project of the credentials, else the project in the e-mail address
/// of the service account that the tokens belong to. It fails if there is neither.
///
/// Errors are [`Error`]s in `gcp_auth::Error::Other`.
///
/// ```
/// use std::sync::Arc;
/// use gcp_auth::TokenProvider;
/// use gcp_iam_credentials::{Credentials, IamCredentialsClient, scopes};
///
/// # fn acting(source: Credentials) -> Result<(), gcp_iam_credentials::Error> {
/// let client = IamCredentialsClient::builder().credentials(source).build()?;
/// let target = "deployer@project.iam.gserviceaccount.com";
/// let acting = client.impersonate(target).access_token([scopes::CLOUD_PLATFORM])?;
/// let provider: Arc<dyn TokenProvider> = Arc::new(acting);
/// # Ok(())
/// # }
/// ```
impl TokenProvider for Credentials {
    fn token<'a, 'b, 'c, 'd>(&'a self, scopes: &'b [&'c str]) -> Reply<'d, gcp_auth::Token>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
        Self: 'd,
    {
        Box::pin(async move {
            self.check_scopes(scopes).map_err(failure)?;
            let token = self.token().await.map_err(failure)?;
            provided(&token)
        })
    }

    fn project_id<'a, 'd>(&'a self) -> Reply<'d, str>
    where
        'a: 'd,
        Self: 'd,
    {
        Box::pin(async move { self.project().map(Arc::from).map_err(failure) })
    }
}

impl Credentials {
    /// Checks that these are access tokens that have all these scopes, as far as that is known.
    fn check_scopes(&self, scopes: &[&str]) -> Result<(), Error> {
        let info = self.info();
        match info.token_kind() {
            None | Some(TokenKind::AccessToken) => {}
            Some(kind) => {
                let problem = format!("must be for access tokens, got credentials for {}", kind.plural());
                let fix = "make them with `Impersonation::access_token`";
                return Err(Error::invalid("credentials", problem).fix_by(fix));
            }
        }
        let missing = not_covered(scopes, info.scopes());
        if info.scopes().is_empty() || missing.is_empty() {
            return Ok(());
        }
        let granted = info.scopes().join(" ");
        let problem = format!("must be covered by those of the credentials ({granted}), got {missing:?}");
        let fix = "make the credentials with these scopes, too";
        Err(Error::invalid("scopes", problem).fix_by(fix))
    }

    /// Returns the quota project, else the project of the account that the tokens belong to.
    fn project(&self) -> Result<String, Error> {
        let info = self.info();
        let quota_project = info.quota_project().map(str::to_owned);
        quota_project.or_else(|| project_in(info.principal()?)).ok_or_else(|| {
            let problem = "must name a project: they have no quota project, and their principal is no service \
                           account with a project's id in its e-mail address";
            Error::invalid("credentials", problem).fix_by("set a quota project when you make them")
        })
    }
}

/// gcp_auth's tokens can only be made by reading the reply of a token endpoint.
fn provided(token: &Token) -> Result<Arc<gcp_auth::Token>, gcp_auth::Error> {
    let left = match token.expires_at() {
        Some(expiry) => expiry.duration_since(SystemTime::now()).unwrap_or_default(),
        None => WITHOUT_EXPIRY,
    };
    let reply = json!({ "access_token": token.secret(), "expires_in": left.as_secs() });
    let token = serde_json::from_value(reply).map_err(|error| gcp_auth::Error::Json("a token", error))?;
    Ok(Arc::new(token))
}

fn failure(error: Error) -> gcp_auth::Error {
    gcp_auth::Error::Other("no token of gcp_iam_credentials", Box::new(error))
}
