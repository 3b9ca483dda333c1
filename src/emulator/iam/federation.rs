//! Federation: identities of other platforms, which Google's STS exchanges for access tokens.

pub(crate) mod access_boundary;
pub(crate) mod aws;
pub(crate) mod cel;
pub(crate) mod exchange;
pub(crate) mod external_identity;
pub(crate) mod issuers;
mod mapping;
pub(crate) mod names;
mod oidc;
pub(crate) mod platform_pages;
pub(crate) mod sign_ins;
