//! Who asks: the bearer token of a request, and the principal behind it.

use std::sync::Arc;

use http::{HeaderMap, header};

use crate::scopes;

use super::jwt::Parsed;
use super::method::Method;
use super::refusal::Refusal;
use super::world::World;

/// The name of an accepted but unknown bearer.
pub(super) const ANYONE: &str = "anyone";

/// The principal behind a request.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// `serviceAccount:…`, `user:…`, or [`ANYONE`].
    member: Arc<str>,
    /// `None` where a token's scopes are not known.
    scopes: Option<Arc<[String]>>,
}

impl Caller {
    pub(super) fn member(&self) -> &Arc<str> {
        &self.member
    }

    /// Finds out who asks.
    pub(super) fn identify(world: &World, headers: &HeaderMap, method: Method) -> Result<Self, Refusal> {
        let token = bearer(headers).ok_or_else(|| Refusal::credentials_missing(method))?;
        if let Some(record) = world.tokens.find(token) {
            if record.expires <= world.clock.now() {
                return Err(Refusal::expired_token(method));
            }
            return Ok(Self { member: record.principal, scopes: Some(record.scopes) });
        }
        if world.id_token_claims(token).is_some() {
            return Err(Refusal::unsupported_token(method));
        }
        Ok(Self::self_signed(world, token).unwrap_or_else(|| Self { member: ANYONE.into(), scopes: None }))
    }

    /// A service account's own JWT in place of an access token, which Google's APIs take too.
    fn self_signed(world: &World, token: &str) -> Option<Self> {
        let parsed = Parsed::from_token(token)?;
        let account = world.accounts.find(parsed.text("iss")?)?;
        let keys = account.keys().published();
        let live = parsed.seconds("exp")? > world.clock.shown_unix();
        let scopes = parsed.text("scope").map(|scope| scope.split(' ').map(str::to_owned).collect());
        (live && parsed.is_signed_by(keys.iter().map(|key| &**key)))
            .then(|| Self { member: Arc::clone(account.member()), scopes })
    }

    /// Whether the token may be used for this API at all.
    pub(super) fn check_scopes(&self, method: Method) -> Result<(), Refusal> {
        let enough = self.scopes.as_ref().is_none_or(|list| {
            list.iter().any(|scope| scope == scopes::CLOUD_PLATFORM || scope == scopes::IAM)
        });
        if enough { Ok(()) } else { Err(Refusal::scope_insufficient(method)) }
    }
}

/// The token of a bearer header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
