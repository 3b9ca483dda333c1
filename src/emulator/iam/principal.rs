//! Who asks: the bearer token of a request, and the principal behind it.

use std::sync::Arc;

use http::{HeaderMap, header};

use crate::scopes;

use crate::emulator::error::Refusal;
use crate::emulator::iam::jwt::Parsed;
use crate::emulator::method::Method;
use crate::emulator::state::World;

/// The name of an accepted but unknown bearer.
pub(crate) const ANYONE: &str = "anyone";

/// The principal behind a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// `serviceAccount:…`, `user:…`, or [`ANYONE`].
    member: Arc<str>,
    /// `None` where a token's scopes are not known.
    scopes: Option<Arc<[String]>>,
}

impl Caller {
    pub(crate) fn member(&self) -> &Arc<str> {
        &self.member
    }

    /// The e-mail address, if it is a service account.
    pub(crate) fn account(&self) -> Option<&str> {
        self.member.strip_prefix("serviceAccount:")
    }

    /// Finds out who asks.
    pub(crate) fn identify(world: &World, headers: &HeaderMap, method: Method) -> Result<Self, Refusal> {
        let token = bearer(headers).ok_or_else(|| Refusal::credentials_missing(method))?;
        let caller = Self::of_token(world, token, method)?;
        let disabled = world
            .policy()
            .is_some_and(|rules| caller.account().is_some_and(|email| rules.policy.is_disabled(email)));
        if disabled { Err(Refusal::disabled_caller(method)) } else { Ok(caller) }
    }

    fn of_token(world: &World, token: &str, method: Method) -> Result<Self, Refusal> {
        if let Some(record) = world.tokens.find(token) {
            if record.expires <= world.clock.now() {
                return Err(Refusal::expired_token(method));
            }
            return Ok(Self { member: record.principal, scopes: Some(record.scopes) });
        }
        if world.id_token_claims(token).is_some() {
            return Err(Refusal::unsupported_token(method));
        }
        if let Some(caller) = Self::self_signed(world, token) {
            return Ok(caller);
        }
        match world.policy() {
            None => Ok(Self { member: ANYONE.into(), scopes: None }),
            Some(rules) => match rules.policy.fixed_token(token) {
                Some(fixed) => Ok(Self {
                    member: fixed.principal.as_str().into(),
                    scopes: fixed.scopes.clone().map(Into::into),
                }),
                None => Err(Refusal::unsupported_token(method)),
            },
        }
    }

    /// The principal of that name, with all scopes.
    pub(crate) fn named(member: &str) -> Self {
        Self { member: member.into(), scopes: None }
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
    pub(crate) fn check_scopes(&self, method: Method) -> Result<(), Refusal> {
        let enough = self.scopes.as_ref().is_none_or(|list| {
            list.iter().any(|scope| scope == scopes::CLOUD_PLATFORM || scope == scopes::IAM)
        });
        if enough { Ok(()) } else { Err(Refusal::scope_insufficient(method)) }
    }
}

/// The token of a bearer header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
