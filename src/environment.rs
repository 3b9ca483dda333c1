//! The variables that say how the program runs.

pub(crate) const UNIVERSE_VARIABLE: &str = "GOOGLE_CLOUD_UNIVERSE_DOMAIN";
pub(crate) const QUOTA_VARIABLE: &str = "GOOGLE_CLOUD_QUOTA_PROJECT";
pub(crate) const EMULATOR_VARIABLE: &str = "IAM_CREDENTIALS_EMULATOR_HOST";

/// A variable of the process; one that is empty is not set.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
