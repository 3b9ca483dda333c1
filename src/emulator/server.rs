//! Sockets, connections, and which request goes to which service.

pub(crate) mod certificate;
pub(crate) mod exchange;
pub(crate) mod listener;
pub(crate) mod services;
