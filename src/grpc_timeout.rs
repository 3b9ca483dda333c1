//! The value of the `grpc-timeout` header: the time that a caller allows for a request.
//!
//! The protocol defines at most eight digits and one unit: `20000000u` is 20 seconds.

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

use std::time::Duration;

use http::HeaderValue;

/// The largest number that eight digits can express.
const MAX_VALUE: u128 = 99_999_999;

/// [`MAX_VALUE`] seconds: three years.
const LONGEST: HeaderValue = HeaderValue::from_static("99999999S");

/// Returns the time that `value` allows; `None` if it isn't a valid timeout.
pub(crate) fn decode(value: &HeaderValue) -> Option<Duration> {
    let (unit, digits) = value.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(value * 3600)),
        b'M' => Some(Duration::from_secs(value * 60)),
        b'S' => Some(Duration::from_secs(value)),
        b'm' => Some(Duration::from_millis(value)),
        b'u' => Some(Duration::from_micros(value)),
        b'n' => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

/// Writes `timeout` in microseconds, or in the finest larger unit that has room for it. Rounds
/// down. Timeouts above three years are written as three years.
pub(crate) fn encode(timeout: Duration) -> HeaderValue {
    let (value, unit) = if timeout.as_micros() <= MAX_VALUE {
        (timeout.as_micros(), 'u')
    } else if timeout.as_millis() <= MAX_VALUE {
        (timeout.as_millis(), 'm')
    } else {
        (u128::from(timeout.as_secs()).min(MAX_VALUE), 'S')
    };
    HeaderValue::try_from(format!("{value}{unit}")).unwrap_or(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_text(text: &'static str) -> Option<Duration> {
        decode(&HeaderValue::from_static(text))
    }

    #[test]
    fn every_unit_is_decoded() {
        for (text, nanos) in [
            ("2H", 7_200_000_000_000),
            ("3M", 180_000_000_000),
            ("4S", 4_000_000_000),
            ("5m", 5_000_000),
            ("6u", 6_000),
            ("99999999n", 99_999_999),
            ("0S", 0),
        ] {
            assert_eq!(decode_text(text).unwrap().as_nanos(), nanos, "{text}");
        }
    }

    #[test]
    fn an_invalid_value_is_no_timeout() {
        for text in ["", "S", "1", "-1S", "+1S", "1.5S", "1s", "123456789S", "1 S"] {
            assert_eq!(decode_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_encoded_value_has_at_most_eight_digits() {
        for (timeout, value) in [
            (Duration::ZERO, "0u"),
            (Duration::from_secs(20), "20000000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::MAX, "99999999S"),
        ] {
            assert_eq!(encode(timeout), value, "{timeout:?}");
        }
    }

    #[test]
    fn a_value_decodes_to_what_was_encoded_within_a_microsecond_or_a_millionth() {
        for nanos in [0, 1, 99_999_999, 1_234_567_890, 59_999_999_999, 3_600_000_000_000_000] {
            let timeout = Duration::from_nanos(nanos);
            let again = decode(&encode(timeout)).unwrap();
            let tolerance = (timeout / 1_000_000).max(Duration::from_micros(1));
            assert!(again <= timeout && timeout - again <= tolerance, "{timeout:?} became {again:?}");
        }
        assert!(decode(&encode(Duration::MAX)).is_some());
    }
}
