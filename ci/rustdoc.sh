#!/usr/bin/env bash
# rustdoc with unstable features on a stable toolchain, as docs.rs has them. Only rustdoc sees the
# variable: if Cargo saw it, it would build all dependencies again.
RUSTC_BOOTSTRAP=1 exec rustdoc "$@"
