//! The JSON form of protocol buffers: durations and times.

use std::time::Duration;

/// A duration as proto-JSON writes it: `3.500s`.
pub(super) fn duration_text(duration: Duration) -> String {
    format!("{}{}s", duration.as_secs(), fraction(duration.subsec_nanos()))
}

/// None, three, six or nine digits, as proto-JSON wants them.
fn fraction(nanos: u32) -> String {
    match nanos {
        0 => String::new(),
        n if n % 1_000_000 == 0 => format!(".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => format!(".{:06}", n / 1_000),
        n => format!(".{n:09}"),
    }
}
