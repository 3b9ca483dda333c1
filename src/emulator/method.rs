//! What can be asked of the emulator.

use std::fmt;
use std::str::FromStr;

use crate::roles;

/// A kind of request: where a [`Fault`](super::Fault) strikes, and what a
/// [`JournalEntry`](super::JournalEntry) says was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// The RPC `GenerateAccessToken`, or its REST form.
    GenerateAccessToken,
    /// The RPC `GenerateIdToken`, or its REST form.
    GenerateIdToken,
    /// The RPC `SignBlob`, or its REST form.
    SignBlob,
    /// The RPC `SignJwt`, or its REST form.
    SignJwt,
    /// `POST /token`: the OAuth token endpoint.
    Token,
    /// `/tokeninfo`.
    TokenInfo,
    /// Any page of public keys.
    Keys,
    /// Any path of the metadata server.
    Metadata,
}

impl Method {
    const ALL: [Self; 8] = [
        Self::GenerateAccessToken,
        Self::GenerateIdToken,
        Self::SignBlob,
        Self::SignJwt,
        Self::Token,
        Self::TokenInfo,
        Self::Keys,
        Self::Metadata,
    ];

    /// The name, as [`FromStr`] reads it: `GenerateAccessToken`, … `Token`, …
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GenerateAccessToken => "GenerateAccessToken",
            Self::GenerateIdToken => "GenerateIdToken",
            Self::SignBlob => "SignBlob",
            Self::SignJwt => "SignJwt",
            Self::Token => "Token",
            Self::TokenInfo => "TokenInfo",
            Self::Keys => "Keys",
            Self::Metadata => "Metadata",
        }
    }

    /// The permission that the caller needs on the target.
    pub(crate) const fn permission(self) -> &'static str {
        match self {
            Self::GenerateIdToken => roles::GET_OPEN_ID_TOKEN,
            Self::SignBlob => roles::SIGN_BLOB,
            Self::SignJwt => roles::SIGN_JWT,
            _ => roles::GET_ACCESS_TOKEN,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no [`Method`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no such method: the methods are GenerateAccessToken, GenerateIdToken, SignBlob, SignJwt, Token, \
         TokenInfo, Keys and Metadata"
)]
#[non_exhaustive]
pub struct UnknownMethod;

impl FromStr for Method {
    type Err = UnknownMethod;

    /// Reads a name; its first letter may be small, as in REST paths.
    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        Self::ALL.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(text)).ok_or(UnknownMethod)
    }
}
