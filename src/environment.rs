//! The environment variables that the crate reads.

pub(crate) const UNIVERSE_VARIABLE: &str = "GOOGLE_CLOUD_UNIVERSE_DOMAIN";
pub(crate) const QUOTA_VARIABLE: &str = "GOOGLE_CLOUD_QUOTA_PROJECT";
pub(crate) const EMULATOR_VARIABLE: &str = "IAM_CREDENTIALS_EMULATOR_HOST";

/// Returns a variable of the process. An empty one counts as not set.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
