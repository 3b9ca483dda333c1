//! The length of text that errors quote.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(shorten(&"ü".repeat(120)), "ü".repeat(120));
        assert_eq!(shorten(&"ü".repeat(121)), "ü".repeat(120) + "…");
    }
}
