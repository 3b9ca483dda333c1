//! The generated messages and server. None has `Debug`: the headers of requests contain secrets.

#[allow(
    dead_code,
    missing_debug_implementations,
    missing_docs,
    unreachable_pub,
    unnameable_types,
    clippy::all,
    clippy::pedantic,
    clippy::restriction
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/envoy/envoy.service.auth.v3.rs"));
}

pub(super) use self::generated::*;
