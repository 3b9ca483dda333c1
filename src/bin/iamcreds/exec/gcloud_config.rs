//! gcloud's settings for the program, without its logins.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use super::folder::PrivateFolder;

/// Copies gcloud's settings into a folder of the program's own, and returns that folder. The copy has no logins, no
/// application default credentials, and not gcloud's note of whether there is a metadata server.
pub(super) fn copy(folder: &PrivateFolder) -> io::Result<PathBuf> {
    let copy = folder.path().join("gcloud");
    fs::create_dir(&copy)?;
    if let Some(settings) = settings_folder() {
        copy_settings(&settings, &copy)?;
    }
    Ok(copy)
}

/// Returns the folder of gcloud's settings, if its place is known.
fn settings_folder() -> Option<PathBuf> {
    let path = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    path("CLOUDSDK_CONFIG").or_else(|| match cfg!(windows) {
        true => Some(path("APPDATA")?.join("gcloud")),
        false => Some(path("HOME")?.join(".config/gcloud")),
    })
}

/// Copies the configurations, and which one is active. What can't be read counts as missing.
fn copy_settings(from: &Path, to: &Path) -> io::Result<()> {
    if let Ok(active) = fs::read(from.join("active_config")) {
        fs::write(to.join("active_config"), active)?;
    }
    let Ok(configurations) = fs::read_dir(from.join("configurations")) else { return Ok(()) };
    fs::create_dir(to.join("configurations"))?;
    for file in configurations.filter_map(Result::ok) {
        if let Ok(content) = fs::read(file.path()) {
            fs::write(to.join("configurations").join(file.file_name()), content)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_copied_and_logins_are_not() {
        let [from, to] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        copy_settings(from.path(), to.path()).unwrap();
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0, "there are no settings");
        for file in ["active_config", "credentials.db", "application_default_credentials.json", "gce"] {
            fs::write(from.path().join(file), "x").unwrap();
        }
        fs::create_dir_all(from.path().join("configurations/folder")).unwrap();
        fs::write(from.path().join("configurations/config_default"), "[core]\nproject = p\n").unwrap();
        copy_settings(from.path(), to.path()).unwrap();
        let copied = |path: &str| fs::read_to_string(to.path().join(path)).unwrap();
        assert_eq!(copied("configurations/config_default"), "[core]\nproject = p\n");
        assert_eq!(copied("active_config"), "x");
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 2);
        assert_eq!(fs::read_dir(to.path().join("configurations")).unwrap().count(), 1);
    }
}
