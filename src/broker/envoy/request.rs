//! What Envoy asks for.

use std::collections::HashMap;

use http::{HeaderName, header};

use super::proto::address::Address as AddressKind;
use super::proto::attribute_context::{HttpRequest, Peer};
use super::proto::{AttributeContext, CheckRequest};
use crate::broker::policy::{Caller, Protocol, Request, Wanted};
use crate::name::account_in;

/// The keys of a route's `context_extensions`.
const TARGET: &str = "target";
const SCOPES: &str = "scopes";
const AUDIENCE: &str = "audience";
const HEADER: &str = "header";

/// The headers in which a token may be sent.
const HEADERS: [HeaderName; 3] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("x-serverless-authorization"),
];

/// A request of a client of Envoy, and the token that its route wants for it.
pub(super) struct Asked {
    pub(super) caller: Caller,
    pub(super) target: String,
    scopes: Vec<String>,
    audience: Option<String>,
    /// The header in which the token is sent.
    pub(super) header: HeaderName,
    /// The header in which the client may name the target. It isn't sent on.
    pub(super) target_header: Option<HeaderName>,
}

impl Asked {
    /// Reads a request. The error says what is wrong with the route's configuration.
    pub(super) fn read(check: CheckRequest, target_header: Option<HeaderName>) -> Result<Self, &'static str> {
        let AttributeContext { source, request, context_extensions: mut route } =
            check.attributes.ok_or("the request has no attributes")?;
        let named = match route.remove(TARGET) {
            Some(target) => Some(target),
            None => target_header.as_ref().and_then(|name| header(request?.http?, name)),
        };
        let target = named.ok_or("neither `context_extensions` nor a header names the target")?;
        let scopes = route.remove(SCOPES).unwrap_or_default();
        let audience = route.remove(AUDIENCE);
        if audience.is_some() && !scopes.is_empty() {
            return Err("`context_extensions` have both `scopes` and `audience`");
        }
        Ok(Self {
            caller: caller(source),
            target: account_in(&target).to_owned(),
            scopes: scopes.split_whitespace().map(str::to_owned).collect(),
            audience,
            header: token_header(&route)?,
            target_header,
        })
    }

    pub(super) fn request(&self) -> Request<'_> {
        let wanted = match &self.audience {
            // Services that identify their callers by e-mail addresses need it.
            Some(audience) => Wanted::Identity { audience, with_email: true },
            None => Wanted::Access(&self.scopes),
        };
        Request { target: &self.target, wanted, protocol: Protocol::Envoy }
    }
}

fn caller(source: Option<Peer>) -> Caller {
    let Some(Peer { address, principal }) = source else { return Caller::new() };
    let caller = Caller::new().with_principal(principal);
    let Some(AddressKind::SocketAddress(socket)) = address.and_then(|address| address.address) else {
        return caller;
    };
    match socket.address.parse() {
        Ok(address) => caller.with_source(address),
        Err(_) => caller,
    }
}

/// Returns the value of a client's header, if it has exactly one.
fn header(mut request: HttpRequest, name: &HeaderName) -> Option<String> {
    if let Some(value) = request.headers.remove(name.as_str()) {
        return Some(value);
    }
    let headers = request.header_map?.headers;
    let mut named = headers.into_iter().filter(|header| header.key == name.as_str());
    let header = named.next().filter(|_| named.next().is_none())?;
    match header.value.is_empty() {
        false => Some(header.value),
        true => String::from_utf8(header.raw_value).ok(),
    }
}

fn token_header(route: &HashMap<String, String>) -> Result<HeaderName, &'static str> {
    let Some(name) = route.get(HEADER) else { return Ok(header::AUTHORIZATION) };
    let known = HEADERS.into_iter().find(|known| name.eq_ignore_ascii_case(known.as_str()));
    known.ok_or("`header` must be `authorization`, `proxy-authorization` or `x-serverless-authorization`")
}
