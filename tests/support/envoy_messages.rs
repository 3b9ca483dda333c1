//! Envoy's messages with a client and a server, as the build script generates them.
#![allow(
    dead_code,
    missing_debug_implementations,
    unreachable_pub,
    unnameable_types,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "generated"
)]

include!(concat!(env!("OUT_DIR"), "/envoy/envoy.service.auth.v3.rs"));
