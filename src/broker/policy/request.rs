//! What a caller asks for.

/// The token that a caller asks for.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker) struct Request<'a> {
    /// The e-mail address or the unique id.
    pub(in crate::broker) target: &'a str,
    pub(in crate::broker) wanted: Wanted<'a>,
    /// How the caller asks. It decides nothing.
    pub(in crate::broker) protocol: Protocol,
}

/// The kind of a token.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker) enum Wanted<'a> {
    /// An access token with exactly these scopes, or with all of the grant's if there are none.
    Access(&'a [String]),
    /// An access token with those of these scopes that the grant has. Libraries name the scopes of their
    /// API, often several of which one would do. If the grant has none of them, but `cloud-platform`, all of its scopes:
    /// that one is good for all of Google Cloud's APIs.
    LibraryAccess(&'a [String]),
    /// An ID token, with the account's e-mail address or without it.
    Identity { audience: &'a str, with_email: bool },
}

/// The protocol of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Protocol {
    Envoy,
    Metadata,
    TokenExchange,
}

impl Protocol {
    /// Returns the name in metrics.
    pub(in crate::broker) const fn name(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::Metadata => "metadata",
            Self::TokenExchange => "token_exchange",
        }
    }
}
