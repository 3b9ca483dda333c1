//! The kinds of requests that the emulator handles.

use std::fmt;
use std::str::FromStr;

use crate::roles;

/// A kind of request. A [`Fault`](super::Fault) can apply to one kind only, and a
/// [`JournalEntry`](super::JournalEntry) contains its kind.
///
/// ```
/// use gcp_iam_credentials::emulator::Method;
///
/// assert_eq!("signBlob".parse(), Ok(Method::SignBlob));
/// assert_eq!(Method::SignBlob.to_string(), "SignBlob");
/// ```
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
    /// `GET …/allowedLocations`: where credentials may be used.
    AllowedLocations,
    /// `POST /token`: the OAuth token endpoint.
    Token,
    /// `/tokeninfo`.
    TokenInfo,
    /// `userinfo`: the pages about the owner of a token.
    UserInfo,
    /// `/revoke`.
    Revoke,
    /// Any request for public keys, or for the page that says where "Google's" are.
    Keys,
    /// Any path of the metadata server.
    Metadata,
    /// Any page at which an external account gets its tokens.
    ExternalAccount,
    /// Any method of IAM's own API, and those for projects' policies and for enabling APIs.
    IamAdmin,
}

impl Method {
    pub(crate) const ALL: [Self; 13] = [
        Self::GenerateAccessToken,
        Self::GenerateIdToken,
        Self::SignBlob,
        Self::SignJwt,
        Self::AllowedLocations,
        Self::Token,
        Self::TokenInfo,
        Self::UserInfo,
        Self::Revoke,
        Self::Keys,
        Self::Metadata,
        Self::ExternalAccount,
        Self::IamAdmin,
    ];

    /// Returns the name, as [`FromStr`] reads it: `GenerateAccessToken`, … `Token`, …
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GenerateAccessToken => "GenerateAccessToken",
            Self::GenerateIdToken => "GenerateIdToken",
            Self::SignBlob => "SignBlob",
            Self::SignJwt => "SignJwt",
            Self::AllowedLocations => "AllowedLocations",
            Self::Token => "Token",
            Self::TokenInfo => "TokenInfo",
            Self::UserInfo => "UserInfo",
            Self::Revoke => "Revoke",
            Self::Keys => "Keys",
            Self::Metadata => "Metadata",
            Self::ExternalAccount => "ExternalAccount",
            Self::IamAdmin => "IamAdmin",
        }
    }

    /// Returns the permission that the principal needs on the target.
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

/// The error if a text isn't the name of a [`Method`].
///
/// ```
/// use gcp_iam_credentials::emulator::{Method, UnknownMethod};
///
/// let result: Result<Method, UnknownMethod> = "SignEverything".parse();
/// assert!(result.is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid method: must be GenerateAccessToken, GenerateIdToken, SignBlob, SignJwt, AllowedLocations, \
     Token, TokenInfo, UserInfo, Revoke, Keys, Metadata, ExternalAccount or IamAdmin"
)]
#[non_exhaustive]
pub struct UnknownMethod;

impl FromStr for Method {
    type Err = UnknownMethod;

    /// Reads a name. Case doesn't matter, so the names in REST paths are accepted too.
    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        Self::ALL.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(text)).ok_or(UnknownMethod)
    }
}
