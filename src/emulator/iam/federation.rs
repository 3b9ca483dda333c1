//! Federation: identities of other platforms, which Google's STS exchanges for access tokens.

pub(crate) mod cel;
pub(crate) mod exchange;
mod mapping;
pub(crate) mod names;
mod oidc;
