//! What only a terminal gets: colour, and a sign of life while a command waits.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// How long a command may take before it says what it waits for: 0.5 s.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often the sign of life moves: 0.1 s.
const TICK: Duration = Duration::from_millis(100);

const FRAMES: [char; 4] = ['|', '/', '-', '\\'];

/// The colours of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Colors {
    on: bool,
}

impl Colors {
    /// Colours for standard output, if it is a terminal and nobody turned colours off.
    pub(crate) fn of_stdout() -> Self {
        Self { on: io::stdout().is_terminal() && are_wanted() }
    }

    /// No colours.
    #[cfg(test)]
    pub(crate) const fn none() -> Self {
        Self { on: false }
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Returns a text in one line, without what a terminal obeys, doesn't show, or shows in another order. The text of
/// others can't add a line or hide a part of one.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_control() || is_invisible(letter) {
            true => shown.extend(letter.escape_unicode()),
            false => shown.push(letter),
        }
    }
    shown
}

/// Whether a letter takes no room, ends a line, or sets the direction of writing.
pub(crate) fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// Whether the locale says that standard output shows more than ASCII.
pub(crate) fn shows_unicode() -> bool {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
    match locale {
        Some(locale) => is_utf8(&locale),
        // There, consoles have no locale, and show it.
        None => cfg!(windows),
    }
}

fn is_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Awaits `work`. If it takes a while and standard error is a terminal, shows `what` there until it ends.
pub(crate) async fn waiting<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    if !io::stderr().is_terminal() || !are_wanted() {
        return work.await;
    }
    if let Ok(result) = tokio::time::timeout(PATIENCE, work.as_mut()).await {
        return result;
    }
    let _line = Line;
    let mut frames = FRAMES.iter().cycle();
    loop {
        if let Some(frame) = frames.next() {
            draw(&format!("\r{frame} {what}"));
        }
        if let Ok(result) = tokio::time::timeout(TICK, work.as_mut()).await {
            return result;
        }
    }
}

/// The line with the sign of life. Erased when dropped: at the end of the work, or at Ctrl-C.
struct Line;

impl Drop for Line {
    fn drop(&mut self) {
        draw("\r\u{1b}[K");
    }
}

fn draw(text: &str) {
    let mut terminal = io::stderr().lock();
    // A terminal that went away is no reason to fail.
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}

/// Whether escape sequences are wanted: see <https://no-color.org>. A dumb terminal shows them as text.
fn are_wanted() -> bool {
    let unset = |name| std::env::var_os(name).is_none_or(|value| value.is_empty());
    unset("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_others_stays_in_its_line_and_controls_nothing() {
        assert_eq!(printable("größe ✓ \"x\" 名前"), "größe ✓ \"x\" 名前");
        assert_eq!(
            printable("a\nb\u{1b}[2J\u{9b}\u{202e}\u{200b}"),
            r"a\u{a}b\u{1b}[2J\u{9b}\u{202e}\u{200b}"
        );
    }

    #[test]
    fn the_locale_names_its_letters() {
        for (locale, expected) in
            [("C.UTF-8", true), ("en_US.utf8", true), ("C", false), ("de_DE.ISO-8859-1", false)]
        {
            assert_eq!(is_utf8(locale), expected, "{locale}");
        }
    }

    #[test]
    fn colours_are_escape_sequences_only_if_they_are_on() {
        assert_eq!(Colors { on: true }.green("ok"), "\u{1b}[32mok\u{1b}[0m");
        assert_eq!(Colors::none().red("no"), "no");
    }
}
