//! The `grpc-timeout` header: a caller's deadline.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The protocol allows eight digits.
const MAX_VALUE: u128 = 99_999_999;

/// The time the caller allows, if the header is there and makes sense.
pub(super) fn read(headers: &HeaderMap) -> Option<Duration> {
    let (unit, digits) = headers.get(GRPC_TIMEOUT)?.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(value * 3600),
        b'M' => Duration::from_secs(value * 60),
        b'S' => Duration::from_secs(value),
        b'm' => Duration::from_millis(value),
        b'u' => Duration::from_micros(value),
        b'n' => Duration::from_nanos(value),
        _ => return None,
    })
}

/// Writes the time that is left, in the finest unit that holds it.
pub(super) fn write(headers: &mut HeaderMap, left: Duration) {
    let units = [("n", 1), ("u", 1_000), ("m", 1_000_000), ("S", 1_000_000_000), ("M", 60_000_000_000)];
    let fits = units.into_iter().map(|(unit, nanos)| (unit, left.as_nanos() / nanos));
    // 190 years in minutes are more than anybody waits for.
    let (unit, value) = fits.into_iter().find(|(_, value)| *value <= MAX_VALUE).unwrap_or(("M", MAX_VALUE));
    if let Ok(value) = HeaderValue::try_from(format!("{value}{unit}")) {
        headers.insert(GRPC_TIMEOUT, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(GRPC_TIMEOUT, HeaderValue::from_static(value))])
    }

    #[test]
    fn every_unit_is_read() {
        for (value, nanos) in [
            ("2H", 7_200_000_000_000),
            ("3M", 180_000_000_000),
            ("4S", 4_000_000_000),
            ("5m", 5_000_000),
            ("6u", 6_000),
            ("99999999n", 99_999_999),
            ("0S", 0),
        ] {
            assert_eq!(read(&headers(value)).unwrap().as_nanos(), nanos, "{value}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_no_deadline() {
        assert_eq!(read(&HeaderMap::new()), None);
        for value in ["", "S", "1", "-1S", "+1S", "1.5S", "1s", "123456789S", "1 S"] {
            assert_eq!(read(&headers(value)), None, "{value:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_again_to_a_millionth() {
        for nanos in [0, 1, 99_999_999, 1_234_567_890, 59_999_999_999, 3_600_000_000_000_000] {
            let left = Duration::from_nanos(nanos);
            let mut headers = headers("1H");
            write(&mut headers, left);
            let again = read(&headers).unwrap();
            assert!(again <= left && left - again <= left / 1_000_000, "{left:?} became {again:?}");
        }
        let mut headers = HeaderMap::new();
        write(&mut headers, Duration::MAX);
        assert!(read(&headers).is_some());
    }
}
