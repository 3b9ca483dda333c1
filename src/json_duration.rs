//! Durations in the JSON form of protocol buffers: `"120s"`.

use std::time::Duration;

/// What an error says if a text isn't a duration.
pub(crate) const EXPECTED: &str = "a duration is a number of seconds, such as \"120s\"";

/// The longest duration that protocol buffers allow, in seconds: about 10,000 years.
const MOST_SECONDS: i64 = 315_576_000_000;

/// Reads `3600s`, `0.5s`, `-1.000000001s`. Returns `None` for any other form.
pub(crate) fn parse(text: &str) -> Option<prost_types::Duration> {
    let number = text.strip_suffix('s')?;
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let seconds: i64 = whole.parse().ok().filter(|seconds| *seconds <= MOST_SECONDS)?;
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    let sign = if negative { -1 } else { 1 };
    Some(prost_types::Duration { seconds: seconds * sign, nanos: nanos * i32::try_from(sign).ok()? })
}

/// Reads a duration that isn't negative.
pub(crate) fn parse_non_negative(text: &str) -> Option<Duration> {
    parse(text).and_then(non_negative)
}

/// Returns a duration of a message. Returns `None` if it is negative or malformed.
///
/// The conversion of `prost_types` overflows for the least number of seconds.
pub(crate) fn non_negative(duration: prost_types::Duration) -> Option<Duration> {
    let seconds = u64::try_from(duration.seconds).ok()?;
    let nanos = u32::try_from(duration.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(seconds, nanos))
}

/// Returns a duration as proto JSON writes it: `3.500s`.
pub(crate) fn to_text(duration: Duration) -> String {
    let fraction = match duration.subsec_nanos() {
        0 => String::new(),
        n if n % 1_000_000 == 0 => format!(".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => format!(".{:06}", n / 1_000),
        n => format!(".{n:09}"),
    };
    format!("{}{fraction}s", duration.as_secs())
}

/// For `#[serde(with = …)]` on a duration that isn't negative.
pub(crate) mod serde_text {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::to_text(*duration))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_non_negative(&text).ok_or_else(|| D::Error::custom(super::EXPECTED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_proto_json_does() {
        let proto = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
        for (text, read) in [
            ("3600s", proto(3600, 0)),
            ("0.5s", proto(0, 500_000_000)),
            ("-1.000000001s", proto(-1, -1)),
            ("1.0000000001s", None),
            ("s", None),
            ("1.s", None),
            (".5s", None),
            ("1e3s", None),
            ("+1s", None),
            ("3600", None),
            ("315576000001s", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(parse(text), read, "{text}");
        }
        for (millis, text) in [(3_600_000, "3600s"), (1500, "1.500s"), (1, "0.001s")] {
            assert_eq!(to_text(Duration::from_millis(millis)), text);
        }
        assert_eq!(to_text(Duration::from_nanos(1_000_001_000)), "1.000001s");
    }
}
