//! The environment variables that the crate reads.

use std::path::PathBuf;

use http::Uri;

use crate::{Error, host};

pub(crate) const UNIVERSE_VARIABLE: &str = "GOOGLE_CLOUD_UNIVERSE_DOMAIN";
pub(crate) const QUOTA_VARIABLE: &str = "GOOGLE_CLOUD_QUOTA_PROJECT";
pub(crate) const EMULATOR_VARIABLE: &str = "IAM_CREDENTIALS_EMULATOR_HOST";

/// Returns a variable of the process. An empty one counts as not set.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns an option that the program set, or else the variable that it may be set by instead. With
/// it comes the name that errors about the value use.
pub(crate) fn option_or_variable(
    (field, option): (&'static str, Option<String>),
    variable: &'static str,
    variables: fn(&str) -> Option<String>,
) -> Option<(String, &'static str)> {
    match option {
        Some(value) => Some((value, field)),
        None => variables(variable).map(|value| (value, variable)),
    }
}

/// Returns the emulator's origin and the name of the variable, if the environment names an emulator.
pub(crate) fn emulator_origin(
    variables: fn(&str) -> Option<String>,
) -> Result<Option<(Uri, &'static str)>, Error> {
    let Some(value) = variables(EMULATOR_VARIABLE) else { return Ok(None) };
    let text = if value.contains("://") { value } else { format!("http://{value}") };
    Ok(Some((host::origin(&text, EMULATOR_VARIABLE)?, EMULATOR_VARIABLE)))
}

/// What the environment says about credentials.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    /// The credential file: `GOOGLE_APPLICATION_CREDENTIALS`.
    pub(crate) credential_file: Option<PathBuf>,
    /// gcloud's folder, if the user chose it: `CLOUDSDK_CONFIG`.
    pub(crate) chosen_folder: Option<PathBuf>,
    /// gcloud's folder otherwise.
    pub(crate) default_folder: Option<PathBuf>,
    /// Returns any other variable.
    pub(crate) variables: fn(&str) -> Option<String>,
}

impl Environment {
    pub(crate) fn of_process() -> Self {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let default_folder = if cfg!(windows) {
            path("APPDATA").map(|folder| folder.join("gcloud"))
        } else {
            path("HOME").map(|folder| folder.join(".config/gcloud"))
        };
        Self {
            credential_file: path("GOOGLE_APPLICATION_CREDENTIALS"),
            chosen_folder: path("CLOUDSDK_CONFIG"),
            default_folder,
            variables: variable,
        }
    }
}
