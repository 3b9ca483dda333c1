//! How a shell reads a command.

/// Returns the words of one simple command; `None` if a shell would see anything but words in it: a
/// variable, a substitution, a pattern, a redirection, a second command.
///
/// It knows words, `'…'`, `"…"` and `\`, and is stricter than any shell: what it can't be sure of
/// isn't a word.
pub(crate) fn words_of_command(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' => words.extend(word.take()),
            '\'' => quoted(&mut chars, word.get_or_insert_default())?,
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(chars.next().filter(|c| *c != '\n')?),
            // A tilde or a number sign has a meaning only at the start of a word or after `=` or `:`.
            _ if c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c) => {
                word.get_or_insert_default().push(c)
            }
            _ => return None,
        }
    }
    words.extend(word);
    Some(words)
}

/// Reads up to the closing `'`. Everything before it stands for itself.
fn quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '\'' => return Some(()),
            c => word.push(c),
        }
    }
}

/// Reads up to the closing `"`.
fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return Some(()),
            '$' | '`' | '!' => return None,
            '\\' => match chars.next()? {
                c @ ('\\' | '"' | '$' | '`') => word.push(c),
                _ => return None,
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_and_quotes_are_removed() {
        let words = words_of_command(r#"gcloud 'a b' --x="c d"'e' f\ g '' 'h'\''i'"#).unwrap();
        assert_eq!(words, ["gcloud", "a b", "--x=c de", "f g", "", "h'i"]);
    }

    #[test]
    fn what_is_not_a_word_is_refused() {
        for command in [
            "a; b", "a & b", "a | b", "a\nb", "$a", "\"$a\"", "`a`", "\"`a`\"", "$(a)", "a > b", "a < b",
            "*", "a?", "[a]", "{a,b}", "~", "#a", "a!", "(a)", "'a", "\"a", "a\\", "a\tb", "a\0",
        ] {
            assert_eq!(words_of_command(command), None, "{command:?}");
        }
    }

    /// A real shell splits the commands in the same way.
    #[cfg(unix)]
    #[test]
    fn a_shell_reads_the_same_words() {
        for command in
            [r#"a 'b c' d\ e "f g" '' 'h'\''i'"#, r#"--x='$(id)' "a\"b" 'new'"#, "'a\nb' '`x`' '*'"]
        {
            let script = format!("printf '%s\\0' {command}");
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let words: Vec<&str> = text.strip_suffix('\0').unwrap().split('\0').collect();
            assert_eq!(words_of_command(command).unwrap(), words, "{command}");
        }
    }
}
