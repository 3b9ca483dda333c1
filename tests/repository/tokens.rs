//! Splits Rust source into words and punctuation, and leaves out comments, literals and lifetimes.

/// A word or a punctuation mark. `::` is one token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

impl Token<'_> {
    pub(crate) fn is_word(&self) -> bool {
        self.text.starts_with(is_word_part)
    }
}

pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while !rest.is_empty() {
        let (piece, after) = match piece(rest) {
            Piece::Token(length) => {
                let (text, after) = rest.split_at(length);
                tokens.push(Token { text, line });
                (text, after)
            }
            Piece::Skipped(length) => rest.split_at(length),
        };
        line += piece.matches('\n').count();
        rest = after;
    }
    tokens
}

/// The first piece of a text, with its length in bytes.
enum Piece {
    Token(usize),
    Skipped(usize),
}

fn piece(rest: &str) -> Piece {
    if let Some(length) = comment(rest).or_else(|| string(rest)).or_else(|| char_or_lifetime(rest)) {
        return Piece::Skipped(length);
    }
    let first = rest.chars().next().map_or(0, char::len_utf8);
    if rest.starts_with(char::is_whitespace) {
        Piece::Skipped(first)
    } else if rest.starts_with("::") {
        Piece::Token(2)
    } else {
        Piece::Token(word(rest).max(first))
    }
}

fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    rest.starts_with("/*").then(|| block_comment(rest))
}

/// The length of a block comment, which may contain others.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
        } else {
            at += 1;
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a string literal: plain, raw, of bytes, or a C string.
fn string(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix(['b', 'c']).unwrap_or(rest);
    let (body, raw) = match body.strip_prefix('r') {
        Some(body) => (body, true),
        None => (body, false),
    };
    let unhashed = if raw { body.trim_start_matches('#') } else { body };
    let text = unhashed.strip_prefix('"')?;
    let hashes = &body[..body.len() - unhashed.len()];
    let length = if raw {
        let end = format!("\"{hashes}");
        text.find(&end).map_or(text.len(), |at| at + end.len())
    } else {
        escaped(text, b'"')
    };
    Some(rest.len() - text.len() + length)
}

/// The length of a text up to and including its closing quote, past escaped ones.
fn escaped(text: &str, quote: u8) -> usize {
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            byte if byte == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn char_or_lifetime(rest: &str) -> Option<usize> {
    let text = rest.strip_prefix('\'')?;
    let first = text.chars().next()?;
    let is_char = first == '\\' || text[first.len_utf8()..].starts_with('\'');
    Some(1 + if is_char { escaped(text, b'\'') } else { word(text) })
}

fn word(rest: &str) -> usize {
    rest.find(|c| !is_word_part(c)).unwrap_or(rest.len())
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::tokens;

    fn texts(source: &str) -> Vec<&str> {
        tokens(source).iter().map(|token| token.text).collect()
    }

    #[test]
    fn words_and_punctuation_are_tokens() {
        assert_eq!(texts("use a::{b, c as _};"), ["use", "a", "::", "{", "b", ",", "c", "as", "_", "}", ";"]);
    }

    #[test]
    fn comments_are_left_out() {
        assert_eq!(texts("a // b\nc /* d /* e */ f */ g /// h"), ["a", "c", "g"]);
    }

    #[test]
    fn literals_are_left_out() {
        let source = r##"a("b \" c", r#"d " e"#, b"f", br"g", c"h", 'i', '\'', '"', '\u{6a}') k"##;
        assert_eq!(texts(source), ["a", "(", ",", ",", ",", ",", ",", ",", ",", ",", ")", "k"]);
    }

    #[test]
    fn lifetimes_are_left_out() {
        assert_eq!(texts("&'static str, <'a, 'b>"), ["&", "str", ",", "<", ",", ">"]);
    }

    #[test]
    fn words_that_begin_like_strings_are_words() {
        assert_eq!(texts("r#type bread crab r b c"), ["r", "#", "type", "bread", "crab", "r", "b", "c"]);
    }

    #[test]
    fn lines_are_counted_through_comments_and_strings() {
        let lines: Vec<usize> = tokens("a /*\n*/ b \"\n\n\" c").iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 2, 4]);
    }
}
