//! The pairs of a query string or of a form.

use percent_encoding::percent_decode_str;

/// Returns the decoded names and values, in order. Bytes that aren't UTF-8 are replaced.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_keep_their_order() {
        let read = |text| pairs(text).collect::<Vec<_>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read("a=1&%24b=x+y%2Bz&a=2"), [pair("a", "1"), pair("$b", "x y+z"), pair("a", "2")]);
        assert_eq!(read("flag&&=v&c=d=e"), [pair("flag", ""), pair("", "v"), pair("c", "d=e")]);
        assert_eq!(read("%ff=%"), [pair("\u{fffd}", "%")]);
        assert_eq!(read(""), []);
    }
}
