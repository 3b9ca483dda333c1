//! Pages that explain, rather than define.

#[doc = include_str!("../docs/names.md")]
pub mod names {}

#[doc = include_str!("../docs/tracing.md")]
pub mod tracing {}
