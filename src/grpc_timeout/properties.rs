//! What holds for every timeout.

use super::*;
use crate::properties::lines;

/// A header is decoded as the protocol defines it. A duration, written and read again, is at most a
/// microsecond or a millionth shorter, and never longer.
pub fn grpc_timeouts(data: &[u8]) {
    if let Ok(header) = HeaderValue::from_bytes(data) {
        let decoded = decode(&header);
        assert_eq!(decoded.map(|timeout| timeout.as_nanos()), nanos(data), "{header:?}");
        decoded.into_iter().for_each(holds_for_a_duration);
    }
    let [seconds, nanos] = lines(data).map(|line: &[u8]| {
        line.iter().fold(0_u64, |number, byte| number.wrapping_mul(257).wrapping_add(u64::from(*byte)))
    });
    holds_for_a_duration(Duration::new(seconds, (nanos % 1_000_000_000) as u32));
}

fn holds_for_a_duration(timeout: Duration) {
    let header = encode(timeout);
    assert!(header.len() <= 9, "{header:?}");
    let Some(again) = decode(&header) else { panic!("{header:?} can't be decoded") };
    assert_eq!(encode(again), header, "{timeout:?}");
    let representable = timeout.min(Duration::from_secs(99_999_999));
    let tolerance = (representable / 10_000).max(Duration::from_micros(1));
    assert!(again <= timeout && representable - again <= tolerance, "{timeout:?} became {again:?}");
}

/// The definition in gRPC's protocol, read in another way: one to eight digits and a unit.
fn nanos(header: &[u8]) -> Option<u128> {
    let text = std::str::from_utf8(header).ok()?;
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "H" => 3_600_000_000_000,
        "M" => 60_000_000_000,
        "S" => 1_000_000_000,
        "m" => 1_000_000,
        "u" => 1_000,
        "n" => 1,
        _ => return None,
    };
    let is_number = (1..=8).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit());
    Some(digits.parse::<u128>().ok().filter(|_| is_number)? * unit)
}
