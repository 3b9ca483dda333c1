//! How other crates take the credentials and signers of `gcp-iam-credentials`. Each module is to be
//! copied: an adapter of a few lines, with what it refuses, and its test against a local server.

pub mod google_cloud_storage;
pub mod kube;
pub mod object_store;
pub mod opendal;
pub mod reqwest;
pub mod sqlx;

mod requirement;
#[cfg(test)]
mod testing;
