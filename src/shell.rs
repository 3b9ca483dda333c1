//! Commands that a person pastes into a POSIX shell.

use std::borrow::Cow;

use crate::printable::printable;

/// Returns a line that a POSIX shell splits into exactly these words, made [`printable`].
///
/// Whatever a word contains, the shell expands nothing in it, and runs nothing.
pub(crate) fn command<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words = words.into_iter().map(|word| quoted(printable(word)).into_owned());
    words.collect::<Vec<_>>().join(" ")
}

/// Returns a name from a file or a reply as an argument, so that no program takes it for an option.
pub(crate) fn operand(name: &str) -> Cow<'_, str> {
    match name.strip_prefix('-') {
        Some(rest) => format!("_{rest}").into(),
        None => name.into(),
    }
}

fn quoted(word: Cow<'_, str>) -> Cow<'_, str> {
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word,
        // Within single quotes, only the single quote itself has a meaning.
        false => format!("'{}'", word.replace('\'', r"'\''")).into(),
    }
}

/// Whether a character has no meaning for a shell, wherever in a word it is.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_./:@,+=%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::collection;
    use proptest::prelude::*;
    use proptest::sample::select;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;

    /// conf: A13
    #[test]
    fn a_word_is_quoted_if_a_shell_would_change_it() {
        for (word, line) in [
            ("--member=user:me@example.com", "--member=user:me@example.com"),
            ("https://www.googleapis.com/auth/iam", "https://www.googleapis.com/auth/iam"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(reboot)", "'$(reboot)'"),
            ("`reboot`;&|<>*?~#!", "'`reboot`;&|<>*?~#!'"),
            ("a\nreboot", r"'a\nreboot'"),
            ("名", "'名'"),
        ] {
            assert_eq!(command([word]), line);
        }
        assert_eq!(command(["gcloud", "a b", "c"]), "gcloud 'a b' c");
    }

    /// conf: A13
    #[test]
    fn an_operand_is_no_option() {
        assert_eq!(operand("--help"), "_-help");
        assert_eq!(operand("p-1"), "p-1");
    }

    /// Pieces that have a meaning for a shell, a terminal or a program.
    const PIECES: [&str; 26] = [
        "a",
        "'",
        "\"",
        "\\",
        "$",
        "$(id)",
        "`id`",
        "${HOME}",
        "\n",
        "\r",
        "\t",
        " ",
        "-",
        "--x=",
        ";",
        "&",
        "|",
        "<",
        ">",
        "*",
        "?",
        "~",
        "#",
        "!",
        "\u{1b}[31m",
        "\u{202e}",
    ];

    fn words() -> impl Strategy<Value = Vec<String>> {
        let piece = prop_oneof![select(&PIECES[..]).prop_map(str::to_owned), any::<String>()];
        let word = collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat());
        collection::vec(word, 1..6)
    }

    fn shown(words: &[String]) -> Vec<String> {
        words.iter().map(|word| printable(word).into_owned()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        /// conf: A13
        #[test]
        fn a_shell_parser_finds_the_words_again(words in words()) {
            let line = command(words.iter().map(String::as_str));
            prop_assert!(!line.contains(char::is_control), "{line:?}");
            prop_assert_eq!(shlex::split(&line), Some(shown(&words)), "{}", line);
        }
    }

    /// conf: A13
    #[cfg(unix)]
    #[test]
    fn a_shell_finds_the_words_again_and_runs_nothing() {
        let mut runner = TestRunner::deterministic();
        let mut all = Vec::new();
        let mut script = String::new();
        for _ in 0..500 {
            let words = words().new_tree(&mut runner).unwrap().current();
            let words: Vec<String> = words.into_iter().map(|word| word.replace('\0', "")).collect();
            script += &command(["printf", "%s\\n"].into_iter().chain(words.iter().map(String::as_str)));
            script += "\n";
            all.extend(shown(&words));
        }
        let output = std::process::Command::new("sh").arg("-c").arg(&script).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let lines = String::from_utf8(output.stdout).unwrap();
        assert_eq!(lines.lines().collect::<Vec<_>>(), all);
    }
}
