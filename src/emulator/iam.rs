//! Identities: accounts, their keys and tokens, and who may do what.

pub(crate) mod access_tokens;
pub(crate) mod account;
pub(crate) mod active_policy;
pub(crate) mod authorization;
mod bounded_map;
pub(crate) mod explanation;
pub(crate) mod federation;
pub(crate) mod id_tokens;
pub(crate) mod identities;
pub(crate) mod jwt;
pub(crate) mod key;
pub(crate) mod key_file;
pub(crate) mod key_pool;
pub(crate) mod key_ring;
pub(crate) mod machine;
pub(crate) mod policy;
pub(crate) mod principal;
pub(crate) mod refresh_tokens;
pub(crate) mod reused_tokens;
mod self_signed_jwt;
