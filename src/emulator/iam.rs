//! Identities: accounts, their keys and tokens, and who may do what.

pub(crate) mod access_tokens;
pub(crate) mod account;
pub(crate) mod authorization;
pub(crate) mod jwt;
pub(crate) mod key;
pub(crate) mod policy;
pub(crate) mod principal;
