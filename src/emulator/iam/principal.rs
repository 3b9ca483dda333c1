//! The principal of a request, found by its bearer token.

use std::sync::Arc;

use http::{HeaderMap, header};

use super::access_tokens::StsDetails;
use super::identities::Identities;
use super::policy::Holder;
use super::self_signed_jwt::SelfSignedJwt;
use crate::emulator::called_method::CalledMethod;
use crate::emulator::error::ApiError;
use crate::headers::API_KEY;
use crate::scopes;

/// The name of a principal whose token is unknown but accepted, because there is no policy.
const ANYONE: &str = "anyone";

/// The identity that makes a request.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    /// `serviceAccount:…`, `user:…`, `principal://…`, or [`ANYONE`].
    name: Arc<str>,
    /// The scopes of its token; `None` if they aren't limited.
    scopes: Option<Arc<[String]>>,
    /// What the STS says about it.
    sts: Option<Arc<StsDetails>>,
}

impl Principal {
    /// Returns the principal with this name and with all scopes.
    pub(crate) fn named(name: &str) -> Self {
        Self::new(name.into(), None)
    }

    fn new(name: Arc<str>, scopes: Option<Arc<[String]>>) -> Self {
        Self { name, scopes, sts: None }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns the principal as grants see it.
    pub(crate) fn holder(&self) -> Holder<'_> {
        let sets = self.sts.as_ref().map(|sts| &*sts.sets).unwrap_or_default();
        let holder = Holder::new(&self.name, sets);
        if self.is_limited() { holder.limited() } else { holder }
    }

    /// Returns whether an access boundary limits its token to other resources than the emulator's.
    fn is_limited(&self) -> bool {
        self.sts.as_ref().is_some_and(|sts| sts.boundary.is_some())
    }

    /// Returns the e-mail address if the principal is a service account.
    pub(crate) fn account(&self) -> Option<&str> {
        self.name.strip_prefix("serviceAccount:")
    }

    /// Finds the principal of a request.
    pub(crate) fn identify(
        identities: &Identities,
        headers: &HeaderMap,
        method: impl Into<CalledMethod>,
    ) -> Result<Self, ApiError> {
        let method = method.into();
        let missing = || match headers.contains_key(API_KEY) {
            true => ApiError::api_key_unsupported(method),
            false => ApiError::credentials_missing(method),
        };
        let token = bearer(headers).ok_or_else(missing)?;
        let principal = Self::of_token(identities, token, method)?;
        principal.check_enabled(identities, method)?;
        Ok(principal)
    }

    /// Checks that the principal isn't an account that is disabled.
    pub(crate) fn check_enabled(
        &self,
        identities: &Identities,
        method: impl Into<CalledMethod>,
    ) -> Result<(), ApiError> {
        let disabled = identities
            .policy()
            .is_some_and(|active| self.account().is_some_and(|email| active.policy.is_disabled(email)));
        if disabled { Err(ApiError::disabled_principal(method.into())) } else { Ok(()) }
    }

    fn of_token(identities: &Identities, token: &str, method: CalledMethod) -> Result<Self, ApiError> {
        if let Some(record) = identities.access_tokens.find(token) {
            if record.expires <= identities.clock.now() {
                return Err(ApiError::expired_token(method));
            }
            return Ok(Self { name: record.principal, scopes: Some(record.scopes), sts: record.sts });
        }
        if identities.google.verify(token).is_some() {
            return Err(ApiError::unsupported_token(method));
        }
        if let Some(jwt) = SelfSignedJwt::find(identities, token) {
            let scopes = jwt.scopes(identities, method)?;
            return Ok(Self::new(Arc::clone(jwt.account().member()), scopes));
        }
        let Some(active) = identities.policy() else { return Ok(Self::named(ANYONE)) };
        let fixed = active.policy.fixed_token(token).ok_or_else(|| ApiError::unsupported_token(method))?;
        if identities.is_revoked(token) {
            return Err(ApiError::expired_token(method));
        }
        Ok(Self::new(fixed.principal.as_str().into(), fixed.scopes.clone().map(Into::into)))
    }

    /// Checks that the token may be used for this API.
    pub(crate) fn check_scopes(&self, method: impl Into<CalledMethod>) -> Result<(), ApiError> {
        let enough = self.scopes.as_ref().is_none_or(|list| {
            list.iter().any(|scope| scope == scopes::CLOUD_PLATFORM || scope == scopes::IAM)
        });
        if enough { Ok(()) } else { Err(ApiError::scope_insufficient(method.into())) }
    }
}

/// Returns the token of the `authorization` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
