//! Wrong arguments: says in two lines what is wrong, and shows an example.

use std::ffi::OsString;

use clap::Command;
use clap::error::{Error, ErrorKind};

use crate::failure::Failure;

/// Turns an error of the parser into a failure. `arguments` are the program's. Prints what was asked for if the error
/// is a request for help or for the version, and ends.
pub(crate) fn failure(
    error: &Error,
    command: &Command,
    arguments: impl Iterator<Item = OsString>,
) -> Failure {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    if matches!(error.kind(), DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand) {
        error.exit();
    }
    let subcommand = arguments.skip(1).find_map(|argument| command.find_subcommand(argument));
    Failure::usage(what(&error.to_string())).fix_by(fix(subcommand))
}

/// Returns the first paragraph of the parser's text, in one line. It quotes arguments, and one of them may be a token.
fn what(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.split_whitespace().map(without_token).collect();
    let what = words.join(" ");
    what.strip_prefix("error: ").unwrap_or(&what).to_owned()
}

/// Returns a word, unless it contains what looks like a token.
fn without_token(word: &str) -> &str {
    let is_token = ["ya29.", "eyJ"].iter().any(|start| word.contains(start));
    if is_token { "'(a token)'" } else { word }
}

/// Returns the subcommand's first example.
fn fix(subcommand: Option<&Command>) -> String {
    let Some(subcommand) = subcommand else { return "see `iamcreds --help`".to_owned() };
    let name = subcommand.get_name();
    let examples = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
    match examples.lines().nth(1) {
        Some(example) => format!("for example `{}`; see `iamcreds {name} --help`", example.trim()),
        None => format!("see `iamcreds {name} --help`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_the_parser_becomes_one_line() {
        let text =
            "error: the following required arguments were not provided:\n  --audience <A>\n\nUsage: x\n";
        assert_eq!(what(text), "the following required arguments were not provided: --audience <A>");
        let text = "error: unexpected argument 'ya29.secret' found\n\nUsage: x";
        assert_eq!(what(text), "unexpected argument '(a token)' found");
    }

    #[test]
    fn the_advice_is_the_first_example_of_the_subcommand() {
        let command = Command::new("sign").after_help("Examples:\n  iamcreds sign file\n  iamcreds sign -");
        assert_eq!(fix(Some(&command)), "for example `iamcreds sign file`; see `iamcreds sign --help`");
        assert_eq!(fix(Some(&Command::new("sign"))), "see `iamcreds sign --help`");
        assert_eq!(fix(None), "see `iamcreds --help`");
    }
}
