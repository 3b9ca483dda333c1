//! Lengths of time in arguments.

use std::time::Duration;

/// Reads a length of time: `45`, `45s`, `10m` or `1h`. Without a unit, it is in seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let seconds_in_unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(expected()),
    };
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds_in_unit));
    seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(expected)
}

fn expected() -> String {
    "expected a time such as 45s, 10m or 1h".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_number_and_one_unit() {
        for (text, seconds) in [("45", 45), ("45s", 45), ("10m", 600), ("12h", 43_200)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "m", "0", "0s", "-1s", "1.5h", "1h30m", "10 m", "10d", "99999999999999999999s", "5é"]
        {
            assert!(duration(text).unwrap_err().contains("10m"), "{text}");
        }
    }
}
