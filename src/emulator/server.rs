//! Sockets, TLS, connections, and which request goes to which service.

mod content_encoding;
mod cors;
mod open_connections;
mod own_requests;
mod request_body;
pub(crate) mod running;
mod serve;
pub(crate) mod services;
mod socket;
#[cfg(test)]
mod trickle;
