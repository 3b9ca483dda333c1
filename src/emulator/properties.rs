//! What holds for every request to the emulator, and for every policy.

mod assertion;
mod control;
mod federation;
mod iam_api;
mod in_memory;
mod metadata;
mod policy;
mod query;
mod rest;

pub use self::assertion::assertions;
pub use self::control::control_documents;
pub use self::federation::{federated_tokens, token_exchanges};
pub use self::iam_api::iam_api_requests;
pub use self::metadata::metadata_pages;
pub use self::policy::policies;
pub use self::query::rest_queries;
pub use self::rest::rest_bodies;
