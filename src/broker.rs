//! Gives impersonated tokens to other programs, over protocols that they know.
//!
//! A [`MetadataServer`] speaks the protocol of Compute Engine's metadata server, so unmodified programs
//! in any language act as the target of an [`Impersonation`](crate::Impersonation).

mod metadata_server;

pub use self::metadata_server::{MetadataServer, MetadataServerBuilder};
