//! What tests and benchmarks share. `tests/README.md` lists the files.
#![allow(dead_code, reason = "each test crate uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

pub(crate) mod accounts;
pub(crate) mod authority;
pub(crate) mod closed_port;
pub(crate) mod emulator;
pub(crate) mod federation;
pub(crate) mod grpc_reply;
pub(crate) mod log_capture;
pub(crate) mod mutual_tls;
pub(crate) mod proxy;
pub(crate) mod random;
pub(crate) mod runtime;
pub(crate) mod scripted_service;
pub(crate) mod server;
pub(crate) mod services;
pub(crate) mod span_capture;
pub(crate) mod thread_subscriber;
pub(crate) mod token_server;
pub(crate) mod token_source;
pub(crate) mod transcripts;
