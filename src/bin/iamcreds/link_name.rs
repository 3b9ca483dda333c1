//! The program's other names: tools start a helper by a name, and can't name a subcommand.

use std::ffi::OsString;
use std::path::Path;

/// Returns the program's arguments. If it was started by the name of a helper, that is the subcommand.
pub(crate) fn arguments(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    let subcommand =
        arguments.first().and_then(|program| match Path::new(program).file_stem()?.to_str()? {
            "docker-credential-iamcreds" => Some("docker-credential"),
            "git-credential-iamcreds" => Some("git-credential"),
            "keyring" => Some("keyring"),
            _ => None,
        });
    if let Some(subcommand) = subcommand {
        arguments.insert(1, subcommand.into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helpers_name_is_the_subcommand() {
        for (given, expected) in [
            ("/bin/docker-credential-iamcreds get", "docker-credential get"),
            ("git-credential-iamcreds --target t erase", "git-credential --target t erase"),
            ("C/keyring.exe get u", "keyring get u"),
            ("/bin/iamcreds man", "man"),
            ("iamcreds", ""),
        ] {
            let arguments = arguments(given.split(' ').map(OsString::from));
            let text: Vec<_> = arguments[1..].iter().map(|argument| argument.to_str().unwrap()).collect();
            assert_eq!(text.join(" "), expected, "{given}");
        }
    }
}
