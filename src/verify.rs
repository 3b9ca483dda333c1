//! Verifies ID tokens, and what service accounts have signed, with published keys: without a call to
//! Google for each of them.
//!
//! [`FetchedKeys`] fetches the keys and keeps them. [`PublicKeys`] are keys that the program already
//! has. Both verify ID tokens by [`IdTokenRules`], and signed JWTs and bytes.
//!
//! ```no_run
//! use gcp_iam_credentials::verify::{FetchedKeys, IdTokenRules};
//!
//! # async fn authenticate(id_token: &str) -> Result<(), gcp_iam_credentials::Error> {
//! let keys = FetchedKeys::of_google()?; // once for the program
//! let rules = IdTokenRules::for_audience("https://my-service.run.app")
//!     .email("caller@project.iam.gserviceaccount.com");
//! let caller = keys.verify_id_token(id_token, &rules).await?;
//! println!("called by {}", caller.subject());
//! # Ok(())
//! # }
//! ```

mod cache;
mod fetched_keys;
mod id_token;
mod id_token_rules;
mod json_object;
mod public_key;
mod public_keys;
mod token;

pub use self::fetched_keys::FetchedKeys;
pub use self::id_token::IdToken;
pub use self::id_token_rules::IdTokenRules;
pub use self::public_keys::PublicKeys;
