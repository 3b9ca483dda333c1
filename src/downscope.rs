//! Access tokens that are limited to a few resources and roles.
//!
//! A downscoped token can do what its source can do *and* what an [`AccessBoundary`] allows. Give one
//! to a program or a customer that must reach only a part of a bucket:
//!
//! ```no_run
//! use gcp_iam_credentials::Credentials;
//! use gcp_iam_credentials::downscope::{AccessBoundary, AccessRule};
//!
//! # async fn hand_out() -> Result<(), gcp_iam_credentials::Error> {
//! let source = Credentials::application_default()?;
//! let read_invoices = AccessRule::bucket("customer-files")
//!     .role("roles/storage.objectViewer")
//!     .folder("customer-a/invoices");
//! let narrow = source.downscope(AccessBoundary::new().rule(read_invoices))?;
//!
//! let token = narrow.token().await?; // Reads customer-a/invoices/… and nothing else.
//! # Ok(())
//! # }
//! ```
//!
//! Google's Security Token Service makes the token from an access token of the source, and Cloud
//! Storage is the only service that accepts it. The token expires when the source's token expires.
//! The boundary is checked before anything is sent.
//!
//! In Google's documentation, this is called *Credential Access Boundaries*.

mod boundary;
mod cel;
mod rule;
mod source;

pub use self::boundary::AccessBoundary;
pub use self::rule::AccessRule;
use self::source::DownscopedSource;
use crate::credentials::CredentialsBuilder;
use crate::environment::{UNIVERSE_VARIABLE, emulator_origin, option_or_variable, variable};
use crate::host::{self, DEFAULT_UNIVERSE, Service};
use crate::source::SourceInfo;
use crate::source::token_endpoint::TokenEndpoint;
use crate::sts_protocol::TOKEN_PATH;
use crate::{Credentials, Error, headers};

const TOKEN_URL: &str = "token_url";
const UNIVERSE: &str = "universe_domain";
const QUOTA_PROJECT: &str = "quota_project";

impl Credentials {
    /// Creates credentials whose access tokens are limited by `boundary`. These credentials are the
    /// source, and have a cache of their own.
    ///
    /// The token service is that of the source's universe, or the emulator's if the variable
    /// `IAM_CREDENTIALS_EMULATOR_HOST` is set. [`builder`](Self::builder) has options:
    /// [`CredentialsBuilder::downscope`].
    ///
    /// If an API rejects a token, or the token service refuses the source's token, the source is asked
    /// for another one.
    ///
    /// ```
    /// use gcp_iam_credentials::downscope::{AccessBoundary, AccessRule};
    /// use gcp_iam_credentials::{Credentials, Token};
    ///
    /// let source = Credentials::fixed(Token::new("secret", None)?);
    /// let uploads = AccessRule::bucket("uploads").role("roles/storage.objectCreator");
    /// let narrow = source.downscope(AccessBoundary::new().rule(uploads))?;
    ///
    /// let twice = narrow.downscope(AccessBoundary::new());
    /// assert_eq!(twice.unwrap_err().field(), Some("credentials"));
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the boundary is invalid, if these credentials are downscoped already, or if
    /// their tokens aren't access tokens. Nothing is sent.
    pub fn downscope(&self, boundary: AccessBoundary) -> Result<Self, Error> {
        Self::builder().downscope(self, boundary)
    }
}

impl CredentialsBuilder {
    /// Creates credentials whose access tokens are limited, like [`Credentials::downscope`].
    ///
    /// The options are [`token_url`](Self::token_url), [`quota_project`](Self::quota_project),
    /// [`universe_domain`](Self::universe_domain) if the source doesn't know its own, and those of
    /// connections.
    ///
    /// ```
    /// use gcp_iam_credentials::downscope::{AccessBoundary, AccessRule};
    /// use gcp_iam_credentials::{Credentials, Token};
    ///
    /// let source = Credentials::fixed(Token::new("secret", None)?);
    /// let rule = AccessRule::bucket("uploads").role("roles/storage.objectCreator");
    /// let narrow = Credentials::builder()
    ///     .token_url("http://127.0.0.1:8095/v1/token") // An emulator.
    ///     .downscope(&source, AccessBoundary::new().rule(rule))?;
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Credentials::downscope`]. Also `InvalidInput` if an option is invalid, or has no
    /// effect here.
    pub fn downscope(self, source: &Credentials, boundary: AccessBoundary) -> Result<Credentials, Error> {
        let info = source.info();
        check_source(&info)?;
        let json = boundary.to_json()?;
        if self.scopes.is_some() {
            return Err(Error::invalid("scopes", "can't be set, because they are those of the source"));
        }
        self.federation.check_only_token_url()?;
        if let Some(project) = &self.quota_project {
            headers::quota_project(project, QUOTA_PROJECT)?;
        }
        let variables = self.environment.as_ref().map_or(variable as fn(&str) -> _, |it| it.variables);
        let universe = self.universe(&info, variables)?;
        let http = self.network.http(variables)?;
        let (url, field) = self.sts_url(&universe, variables)?;
        let endpoint = TokenEndpoint::new(&http, &url, field)?;
        let text = boundary.to_string();
        let source = DownscopedSource::new(source.clone(), endpoint, &json, text, self.quota_project);
        Ok(Credentials::from_source(source))
    }

    /// Returns the universe of the source, else that of the builder, the environment or everybody.
    fn universe(&self, source: &SourceInfo, variables: fn(&str) -> Option<String>) -> Result<String, Error> {
        let option = (UNIVERSE, self.universe_domain.clone());
        let named = match source.universe_domain() {
            None => option_or_variable(option, UNIVERSE_VARIABLE, variables),
            Some(theirs) if self.universe_domain.as_ref().is_some_and(|ours| ours != theirs) => {
                return Err(Error::invalid(UNIVERSE, format!("must be {theirs:?}, as the credentials say")));
            }
            Some(theirs) => Some((theirs.to_owned(), UNIVERSE)),
        };
        let (universe, field) = named.unwrap_or((DEFAULT_UNIVERSE.to_owned(), UNIVERSE));
        host::check_universe(&universe, field).map(|()| universe)
    }

    /// Returns the URL of the token service, and the name of what sets it.
    fn sts_url(
        &self,
        universe: &str,
        variables: fn(&str) -> Option<String>,
    ) -> Result<(String, &'static str), Error> {
        if let Some(url) = &self.federation.token_url {
            return Ok((url.clone(), TOKEN_URL));
        }
        let emulator = match self.universe_domain {
            Some(_) => None,
            None => emulator_origin(variables)?,
        };
        Ok(match emulator {
            Some((origin, field)) => {
                (format!("{}{TOKEN_PATH}", origin.to_string().trim_end_matches('/')), field)
            }
            None => (format!("https://{}{TOKEN_PATH}", Service::Sts.host(universe)), TOKEN_URL),
        })
    }
}

/// Checks that the source's tokens can be downscoped, as far as it reports what they are.
fn check_source(info: &SourceInfo) -> Result<(), Error> {
    if info.access_boundary().is_some() {
        let error = Error::invalid("credentials", "must not be downscoped already");
        return Err(error.fix_by("downscope the source once, with all limits in one boundary"));
    }
    if info.hops().last().is_some_and(|hop| hop.audience().is_some()) {
        let expectation = "must be of access tokens, got ID tokens or self-signed JWTs";
        return Err(Error::invalid("credentials", expectation));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
