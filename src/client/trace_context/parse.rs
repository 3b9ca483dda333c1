//! The grammar of the two headers. What it accepts is a legal header value of ASCII.

use std::ops::Range;

use http::HeaderValue;

/// The length of a `traceparent` of version 00.
const LENGTH: usize = 55;
/// The place of the trace's id in a `traceparent`.
pub(super) const TRACE_ID: Range<usize> = 3..35;
/// The place of the parent's id in a `traceparent`.
pub(super) const PARENT_ID: Range<usize> = 36..52;
/// The place of the flags in a `traceparent`.
const FLAGS: Range<usize> = 53..LENGTH;

const SAMPLED: u8 = 0b01;
/// The flags of version 00: sampled, and that the trace's id is random.
const KNOWN_FLAGS: u8 = 0b11;

/// How many members a `tracestate` may have.
const MEMBERS: usize = 32;
/// How many characters of a `tracestate` are sent: all that every implementation must be able to pass
/// on. A server may limit the size of all headers.
const STATE_LENGTH: usize = 512;
/// Longer members are removed first.
const LONG_MEMBER: usize = 128;
/// How many characters a key may have, and a value.
const KEY: usize = 256;
const VALUE: usize = 256;

/// Returns a `traceparent` in the form of version 00, or `None` if it is invalid.
pub(super) fn traceparent(value: &[u8]) -> Option<HeaderValue> {
    let (known, rest) = value.split_at_checked(LENGTH)?;
    let mut parts = known.split(|byte| *byte == b'-');
    let mut digits = |count| parts.next().filter(|part| part.len() == count && is_hexadecimal(part));
    let (version, trace_id, parent_id, flags) = (digits(2)?, digits(32)?, digits(16)?, digits(2)?);
    let is_zero = |id: &[u8]| id.iter().all(|digit| *digit == b'0');
    if version == b"ff" || is_zero(trace_id) || is_zero(parent_id) {
        return None;
    }
    match (version, rest) {
        (b"00", []) => HeaderValue::from_bytes(known).ok(),
        (b"00", _) => None,
        (_, [] | [b'-', ..]) => as_version_00(known, flags_in(flags)?),
        _ => None,
    }
}

/// Returns what is known of a later version's value. The meaning of its other flags isn't.
fn as_version_00(known: &[u8], flags: u8) -> Option<HeaderValue> {
    let ids = std::str::from_utf8(known.get(TRACE_ID.start..PARENT_ID.end)?).ok()?;
    HeaderValue::try_from(format!("00-{ids}-{:02x}", flags & KNOWN_FLAGS)).ok()
}

pub(super) fn is_sampled(traceparent: &str) -> bool {
    let flags = traceparent.as_bytes().get(FLAGS).and_then(flags_in);
    flags.is_some_and(|flags| flags & SAMPLED != 0)
}

fn flags_in(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn is_hexadecimal(digits: &[u8]) -> bool {
    digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the list that several values make together, without spaces between its members, or `None` if
/// it is invalid. An empty list is no header.
pub(super) fn tracestate<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Option<Option<HeaderValue>> {
    let mut members: Vec<&[u8]> = Vec::new();
    let pieces = values.into_iter().flat_map(|value| value.split(|byte| *byte == b','));
    for member in pieces.map(without_spaces).filter(|member| !member.is_empty()) {
        let key = key_of(member)?;
        if members.len() == MEMBERS || members.iter().any(|other| key_of(other) == Some(key)) {
            return None;
        }
        members.push(member);
    }
    shorten(&mut members);
    if members.is_empty() {
        return Some(None);
    }
    HeaderValue::from_bytes(&members.join(&b',')).ok().map(Some)
}

/// Returns the key of a member, or `None` if the member is malformed.
fn key_of(member: &[u8]) -> Option<&[u8]> {
    let at = member.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&member[..at], &member[at + 1..]);
    let is_alphanumeric = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    let is_of_key = |byte: &u8| is_alphanumeric(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@');
    let is_of_value = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    let is_key = key.first().is_some_and(is_alphanumeric) && key.len() <= KEY && key.iter().all(is_of_key);
    let ends_well = value.last().is_some_and(|last| *last != b' ');
    let is_value = ends_well && value.len() <= VALUE && value.iter().all(is_of_value);
    (is_key && is_value).then_some(key)
}

/// Removes spaces and tabs at both ends.
fn without_spaces(mut piece: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = piece {
        piece = rest;
    }
    piece
}

/// Removes members until the rest is short enough, the long ones first.
fn shorten(members: &mut Vec<&[u8]>) {
    let length = |members: &Vec<&[u8]>| members.iter().map(|member| member.len() + 1).sum::<usize>();
    while length(members) > STATE_LENGTH + 1 {
        match members.iter().rposition(|member| member.len() > LONG_MEMBER) {
            Some(long) => drop(members.remove(long)),
            None => drop(members.pop()),
        }
    }
}
