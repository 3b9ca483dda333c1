//! Sockets, TLS, connections, and which request goes to which service.

pub(crate) mod running;
mod serve;
pub(crate) mod services;
mod socket;
pub(crate) mod tls;
