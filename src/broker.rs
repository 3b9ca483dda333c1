//! Gives impersonated tokens to other programs, over protocols that they know.
//!
//! * A [`MetadataServer`] speaks the protocol of Compute Engine's metadata server, so unmodified programs of one user
//!   act as the target of an [`Impersonation`](crate::Impersonation).
//! * A [`BrokerServer`] serves the callers of a whole machine or fleet. A [`Policy`] says who may act as which account.
//!   `docs/fleets.md` shows it behind Envoy and in pods.

mod connections;
mod envoy;
mod listener;
mod metadata;
mod metadata_server;
mod peer;
mod policy;
#[cfg(target_os = "linux")]
mod proc_net;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod renewal;
mod reply;
mod scopes;
mod server;
mod stream;
#[cfg(feature = "_tls")]
mod tls;
mod tokens;

pub use self::metadata_server::{MetadataServer, MetadataServerBuilder};
pub use self::policy::{Caller, Policy, PolicyError};
pub use self::server::{BrokerServer, BrokerServerBuilder, Socket};
#[cfg(feature = "_tls")]
#[cfg_attr(docsrs, doc(cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))))]
pub use self::tls::ServerTls;
pub use self::tokens::Broker;
