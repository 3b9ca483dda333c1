//! The guide: from an empty project to a service that acts as other accounts, and what to look up later.
//!
//! # To read in this order
//!
//! 1. [`getting_started`]: the first token, offline and then from Google.
//! 2. [`sources`]: the credentials that a program starts from.
//! 3. [`clients`]: the token on each request of a tonic or HTTP client.
//! 4. [`chains`]: accounts between the source and the target.
//! 5. [`id_tokens`]: calls to Cloud Run and Identity-Aware Proxy, and how a service verifies its callers.
//! 6. [`signing`]: bytes, JWTs, signed URLs, users of a Workspace domain, and tokens for a part of a bucket.
//! 7. [`many_identities`]: thousands of accounts in one process.
//! 8. [`federation`]: programs outside Google Cloud, with a page for each platform: [`github_actions`],
//!    [`kubernetes`], [`aws`], [`azure`].
//! 9. [`testing`]: expiry, outages and missing grants, without Google.
//! 10. [`errors`]: what each error means, and what fixes it.
//! 11. [`retries`]: time limits, retries, and their budget.
//!
//! # For those who come from elsewhere
//!
//! * [`from_python`], [`from_go`], [`from_java`], [`from_node`]: the same program in both languages. [`names`] has
//!   all names of Google's libraries.
//! * [`which_crate`]: this crate beside others, and when another one is the better choice.
//!
//! # To look up
//!
//! * [`integrations`]: the identity in other crates, such as object_store, kube and Google's own clients.
//! * [`tracing`]: the spans, events and metrics that the crate emits.
//! * [`iamcreds`]: the command for a terminal.
#![cfg_attr(
    feature = "emulator",
    doc = "* [`emulator`]: the emulator, for programs in any language; [`emulator_reference`] has its policy and its controls."
)]

#[doc = include_str!("../docs/guide/getting-started.md")]
pub mod getting_started {}

#[doc = include_str!("../docs/guide/sources.md")]
pub mod sources {}

#[doc = include_str!("../docs/guide/clients.md")]
pub mod clients {}

#[doc = include_str!("../docs/guide/chains.md")]
pub mod chains {}

#[doc = include_str!("../docs/guide/id-tokens.md")]
pub mod id_tokens {}

#[doc = include_str!("../docs/guide/signing.md")]
pub mod signing {}

#[doc = include_str!("../docs/guide/many-identities.md")]
pub mod many_identities {}

#[doc = include_str!("../docs/guide/federation.md")]
pub mod federation {}

#[doc = include_str!("../docs/github-actions.md")]
pub mod github_actions {}

#[doc = include_str!("../docs/kubernetes.md")]
pub mod kubernetes {}

#[doc = include_str!("../docs/aws.md")]
pub mod aws {}

#[doc = include_str!("../docs/azure.md")]
pub mod azure {}

#[doc = include_str!("../docs/guide/testing.md")]
pub mod testing {}

#[doc = include_str!("../docs/guide/errors.md")]
pub mod errors {}

#[doc = include_str!("../docs/guide/retries.md")]
pub mod retries {}

#[doc = include_str!("../docs/guide/from-python.md")]
pub mod from_python {}

#[doc = include_str!("../docs/guide/from-go.md")]
pub mod from_go {}

#[doc = include_str!("../docs/guide/from-java.md")]
pub mod from_java {}

#[doc = include_str!("../docs/guide/from-node.md")]
pub mod from_node {}

#[doc = include_str!("../docs/names.md")]
pub mod names {}

#[doc = include_str!("../docs/guide/which-crate.md")]
pub mod which_crate {}

#[doc = include_str!("../docs/integrations.md")]
pub mod integrations {}

#[doc = include_str!("../docs/tracing.md")]
pub mod tracing {}

#[doc = include_str!("../docs/iamcreds.md")]
pub mod iamcreds {}

#[cfg(feature = "emulator")]
#[doc = include_str!("../docs/emulator.md")]
pub mod emulator {}

#[cfg(feature = "emulator")]
#[doc = include_str!("../docs/emulator-reference.md")]
pub mod emulator_reference {}
