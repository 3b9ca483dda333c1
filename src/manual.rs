//! Pages that explain how to use the crate.
//!
//! * [`recipes`]: short solutions for common tasks.
//! * [`github_actions`], [`kubernetes`], [`aws`], [`azure`]: from another platform to a token of a service account.
//! * [`integrations`]: the identity in other crates, such as object_store, kube and Google's own clients.
//! * [`testing`]: how to test a program that uses this crate.
//! * [`iamcreds`]: the command for a terminal.
//! * [`names`]: the names in Google's libraries for other languages, and their counterparts here.
//! * [`tracing`]: the spans and events that the crate emits.
#![cfg_attr(feature = "emulator", doc = "* [`emulator`]: the emulator, for programs in any language.")]

#[doc = include_str!("../docs/recipes.md")]
pub mod recipes {}

#[doc = include_str!("../docs/github-actions.md")]
pub mod github_actions {}

#[doc = include_str!("../docs/kubernetes.md")]
pub mod kubernetes {}

#[doc = include_str!("../docs/aws.md")]
pub mod aws {}

#[doc = include_str!("../docs/azure.md")]
pub mod azure {}

#[doc = include_str!("../docs/integrations.md")]
pub mod integrations {}

#[doc = include_str!("../docs/testing.md")]
pub mod testing {}

#[doc = include_str!("../docs/iamcreds.md")]
pub mod iamcreds {}

#[doc = include_str!("../docs/names.md")]
pub mod names {}

#[doc = include_str!("../docs/tracing.md")]
pub mod tracing {}

#[cfg(feature = "emulator")]
#[doc = include_str!("../docs/emulator.md")]
pub mod emulator {}
