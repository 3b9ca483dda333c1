//! Splits the text of an expression into tokens.

use serde_json::Value;

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A number or a string.
    Literal(Value),
    Name(String),
    Symbol(&'static str),
}

/// All symbols. A symbol comes before those that are its start.
const SYMBOLS: [&str; 21] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "?", ":", "(", ")", "[", "]", "{", "}", ".", ",", "+",
    "-",
];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '\'' | '"' => string(rest, true)?,
            'r' if rest[1..].starts_with(['\'', '"']) => string(&rest[1..], false)?,
            '0'..='9' => number(rest)?,
            'a'..='z' | 'A'..='Z' | '_' => name(rest),
            _ => symbol(rest)?,
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn symbol(text: &str) -> Result<(Token, &str), String> {
    let found = SYMBOLS.iter().find_map(|symbol| Some((Token::Symbol(symbol), text.strip_prefix(symbol)?)));
    found.ok_or_else(|| format!("unexpected character {:?}", text.chars().next().unwrap_or_default()))
}

fn name(text: &str) -> (Token, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let token = match name {
        "true" => Token::Literal(true.into()),
        "false" => Token::Literal(false.into()),
        "null" => Token::Literal(Value::Null),
        name => Token::Name(name.to_owned()),
    };
    (token, rest)
}

fn number(text: &str) -> Result<(Token, &str), String> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let whole = digits(text);
    let fraction = text[whole..].strip_prefix('.').map_or(0, digits);
    let end = if fraction == 0 { whole } else { whole + 1 + fraction };
    let (number, rest) = text.split_at(end);
    let value = if fraction == 0 {
        number.parse::<i64>().map(Value::from).map_err(|_| format!("{number} is too large"))?
    } else {
        number.parse::<f64>().map(Value::from).map_err(|_| format!("{number} is not a number"))?
    };
    Ok((Token::Literal(value), rest))
}

/// Reads a string. Its first character is the quote that ends it.
fn string(text: &str, escapes: bool) -> Result<(Token, &str), String> {
    let mut chars = text.char_indices();
    let quote = chars.next().map(|(_, quote)| quote);
    let mut value = String::new();
    while let Some((index, c)) = chars.next() {
        if Some(c) == quote {
            return Ok((Token::Literal(value.into()), &text[index + 1..]));
        }
        value.push(match c {
            '\\' if escapes => match chars.next() {
                Some((_, c @ ('\\' | '\'' | '"' | '`' | '?'))) => c,
                Some((_, 'n')) => '\n',
                Some((_, 't')) => '\t',
                Some((_, 'r')) => '\r',
                _ => return Err("unknown escape in a string".to_owned()),
            },
            c => c,
        });
    }
    Err("a string has no end".to_owned())
}
