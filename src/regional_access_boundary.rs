//! The regional access boundary: in which locations the tokens of an identity may be used.

mod boundary;
mod lookup;
mod moment;
mod resource;
mod schedule;
#[cfg(test)]
mod simulation;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::Uri;

use self::lookup::HttpLocations;
use self::resource::Resource;
use self::source::BoundedSource;
use crate::credentials::CredentialsBuilder;
use crate::environment::{UNIVERSE_VARIABLE, emulator_origin, option_or_variable, variable};
use crate::host::{self, DEFAULT_UNIVERSE};
use crate::source::SourceInfo;
use crate::{Credentials, Error};

const UNIVERSE: &str = "universe_domain";

impl Credentials {
    /// Creates credentials that look up the regional access boundary of their identity, and send it
    /// with each request. Default: nothing is looked up.
    ///
    /// An organization can limit in which locations the tokens of a service account, or of a federated
    /// identity, may be used. Google's API says for each identity what its boundary is
    /// (`allowedLocations`), and a request tells it to the server in the header `x-allowed-locations`.
    /// Call this method if your organization uses such limits. Google's own libraries do the same, and
    /// some of them for everybody.
    ///
    /// * The first use of a token starts the lookup in the background. It doesn't delay or fail a
    ///   request or a fetch. Requests before the first reply go out without the header.
    /// * A boundary is kept for 6 hours, and looked up again by the first use after 5 hours. A failed
    ///   lookup doesn't remove it. After a failure, the next lookup is 15 min later at the earliest. This
    ///   pause doubles with each further failure, up to 6 hours.
    /// * [`layer`](Self::layer), [`interceptor`](Self::interceptor) and [`apply`](Self::apply) set the
    ///   header. They replace or remove one that a request already has. In a program that has such
    ///   credentials, those of other credentials remove it too, because it belongs to a token.
    ///   An option `header_name` other than `authorization` turns this off for that layer.
    /// * The lookup is a GET request to the API that impersonates, or to the emulator if
    ///   `IAM_CREDENTIALS_EMULATOR_HOST` is set, and authenticates with the token itself. Redirects
    ///   aren't followed.
    /// * In another universe than `googleapis.com`, nothing is looked up.
    ///
    /// The new credentials have the same source and a cache of their own; clones share its lookup.
    /// They have the default settings for connections. For a proxy or certificates, use
    /// [`CredentialsBuilder::regional_access_boundary`]. [`explain`](Self::explain) and
    /// [`status`](Self::status) show what is known.
    ///
    /// ```no_run
    /// use gcp_iam_credentials::{Credentials, IamCredentialsClient, scopes};
    ///
    /// # async fn f() -> Result<(), gcp_iam_credentials::Error> {
    /// let client = IamCredentialsClient::new()?;
    /// let acting = client
    ///     .impersonate("worker@project.iam.gserviceaccount.com")
    ///     .access_token([scopes::CLOUD_PLATFORM])?
    ///     .with_regional_access_boundary()?;
    ///
    /// let layer = acting.layer();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is no boundary to look up: the tokens aren't access tokens of a service
    /// account or of a federated identity, as far as that is known without a fetch, or they are
    /// downscoped. Nothing is sent.
    pub fn with_regional_access_boundary(&self) -> Result<Self, Error> {
        Self::builder().regional_access_boundary(self)
    }
}

impl CredentialsBuilder {
    /// Creates credentials that look up their regional access boundary, like
    /// [`Credentials::with_regional_access_boundary`].
    ///
    /// The options are those of connections, and [`universe_domain`](Self::universe_domain) if the
    /// source doesn't know its own. With a [`client_identity`](Self::client_identity), the default
    /// server is `https://iamcredentials.mtls.googleapis.com`.
    ///
    /// ```
    /// use gcp_iam_credentials::{Credentials, Token};
    ///
    /// # let acting = Credentials::from_source(Fixed);
    /// # use gcp_iam_credentials::source::{BoxFuture, FetchRequest, SourceInfo};
    /// # struct Fixed;
    /// # impl gcp_iam_credentials::TokenSource for Fixed {
    /// #     fn fetch<'a>(&'a self, _: FetchRequest<'a>)
    /// #         -> BoxFuture<'a, Result<Token, gcp_iam_credentials::Error>> {
    /// #         Box::pin(async { Token::new("t", None) })
    /// #     }
    /// #     fn info(&self) -> SourceInfo {
    /// #         SourceInfo::new().with_principal("a@p.iam.gserviceaccount.com")
    /// #     }
    /// # }
    /// let bounded = Credentials::builder()
    ///     .proxy("http://proxy.corp.example:3128")
    ///     .regional_access_boundary(&acting)?;
    ///
    /// let known = bounded.info();
    /// assert_eq!(known.regional_access_boundary(), Some("not known yet"));
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Credentials::with_regional_access_boundary`]. Also `InvalidInput` if an option is
    /// invalid, or has no effect here.
    pub fn regional_access_boundary(self, source: &Credentials) -> Result<Credentials, Error> {
        let info = source.info();
        check_source(&info)?;
        self.check_options()?;
        let variables = self.environment.as_ref().map_or(variable as fn(&str) -> _, |it| it.variables);
        let option = (UNIVERSE, self.universe_domain.clone());
        let named = option_or_variable(option, UNIVERSE_VARIABLE, variables);
        let (universe, field) = named.unwrap_or((DEFAULT_UNIVERSE.to_owned(), UNIVERSE));
        host::check_universe(&universe, field)?;
        let locations = HttpLocations {
            http: self.network.http(variables)?,
            emulator: match self.universe_domain {
                Some(_) => None,
                None => emulator_origin(variables)?.map(|(origin, _)| origin),
            },
            has_client_identity: self.network.tls().client_identity.is_some(),
        };
        locations.check(&info)?;
        let source = BoundedSource::new(Arc::clone(source.source()), Arc::new(locations), universe);
        Ok(Credentials::from_source(source))
    }

    /// Checks that no option is set that belongs to the source.
    fn check_options(&self) -> Result<(), Error> {
        let options = [
            ("scopes", self.scopes.is_some()),
            ("quota_project", self.quota_project.is_some()),
            ("token_url", self.federation.token_url.is_some()),
        ];
        match options.into_iter().find(|(_, is_set)| *is_set) {
            Some((option, _)) => {
                Err(Error::invalid(option, "can't be set, because it is that of the source"))
            }
            None => self.federation.check_unused(),
        }
    }
}

/// Checks that the source's tokens have a boundary, as far as it reports what they are.
fn check_source(info: &SourceInfo) -> Result<(), Error> {
    const FIELD: &str = "credentials";
    if info.regional_access_boundary().is_some() {
        return Err(Error::invalid(FIELD, "must not look up a regional access boundary already"));
    }
    if info.access_boundary().is_some() {
        return Err(Error::invalid(FIELD, "must not be downscoped"));
    }
    if info.hops().last().is_some_and(|hop| hop.audience().is_some()) {
        let expectation = "must be of access tokens, got ID tokens or self-signed JWTs";
        return Err(Error::invalid(FIELD, expectation));
    }
    match Resource::of(info) {
        Some(_) => Ok(()),
        None => {
            let got = info.principal().map_or("an unknown principal".to_owned(), |name| format!("{name:?}"));
            let expectation = format!("must be of a service account or a federated identity, got {got}");
            let fix = "impersonate a service account, or leave out the regional access boundary";
            Err(Error::invalid(FIELD, expectation).fix_by(fix))
        }
    }
}

/// Returns whether two URLs have the same scheme, host and port.
fn is_same_origin(one: &Uri, other: &Uri) -> bool {
    one.scheme() == other.scheme() && one.authority() == other.authority()
}
