//! The protocols that the emulator serves.

pub(crate) mod external_accounts;
pub(crate) mod grpc;
pub(crate) mod iam_api;
pub(crate) mod key_sets;
pub(crate) mod metadata_server;
mod oauth_body;
pub(crate) mod proto_json;
pub(crate) mod rest;
pub(crate) mod sts;
pub(crate) mod token_endpoint;
