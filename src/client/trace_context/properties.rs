//! What holds for every trace context.

use http::{HeaderMap, HeaderValue};

use super::TraceContext;
use crate::headers::{TRACEPARENT, TRACESTATE};
use crate::properties::{assert_names_a_field, lines};

/// A context that is accepted is in the form of version 00, and what it sends is read as the same
/// context. Its state has only members of the input, in their order. Headers never have a problem that
/// the program sees, and bad state never costs the `traceparent`.
///
/// The input is a `traceparent`, and one or more lines that are headers `tracestate`.
pub fn trace_contexts(data: &[u8]) {
    let [parent, states] = lines(data);
    let states: Vec<&[u8]> = states.split(|byte| *byte == b'\n').collect();
    let mut headers = HeaderMap::new();
    let (Ok(parent_value), Ok(state_values)) = (
        HeaderValue::from_bytes(parent),
        states.iter().map(|state| HeaderValue::from_bytes(state)).collect::<Result<Vec<_>, _>>(),
    ) else {
        return;
    };
    headers.insert(TRACEPARENT, parent_value);
    let of_parent = TraceContext::from_headers(&headers);
    headers.extend(state_values.into_iter().map(|value| (TRACESTATE, value)));
    let read = TraceContext::from_headers(&headers);
    assert_eq!(
        of_parent.as_ref().map(TraceContext::traceparent),
        read.as_ref().map(TraceContext::traceparent)
    );

    if let Some(context) = &read {
        holds_for_a_parent(context, parent);
        holds_for_a_state(context, &states.join(&b','));
    }
    agrees_with_strict_input(of_parent, read, parent, &states);
}

fn holds_for_a_parent(context: &TraceContext, parent: &[u8]) {
    let sent = context.traceparent();
    let is_hexadecimal = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let parts: Vec<&str> = sent.split('-').collect();
    assert_eq!(parts[..3], ["00", context.trace_id(), context.parent_id()]);
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2]);
    assert!(parts.iter().all(|part| is_hexadecimal(part)), "{sent}");
    assert!(parts[1..3].iter().all(|id| id.bytes().any(|digit| digit != b'0')), "{sent}");
    // A value of version 00 isn't changed; of others, the ids aren't.
    assert!(
        parent == sent.as_bytes() || (!parent.starts_with(b"00-") && parent[2..52] == sent.as_bytes()[2..52])
    );
    assert_eq!(context.is_sampled(), u8::from_str_radix(parts[3], 16).is_ok_and(|flags| flags % 2 == 1));
}

fn holds_for_a_state(context: &TraceContext, given: &[u8]) {
    let mut sent = HeaderMap::new();
    context.write_to(&mut sent);
    assert_eq!(TraceContext::from_headers(&sent).as_ref(), Some(context));

    let Some(state) = context.tracestate() else { return };
    assert!((1..=512).contains(&state.len()), "{state:?}");
    let members: Vec<&str> = state.split(',').collect();
    assert!(members.len() <= 32 && members.iter().all(|member| member.split('=').count() == 2), "{state:?}");
    let mut given = given.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    assert!(members.iter().all(|member| given.any(|piece| piece == member.as_bytes())), "{state:?}");
}

/// The strict forms accept exactly what the headers do, and name what is invalid.
fn agrees_with_strict_input(
    of_parent: Option<TraceContext>,
    read: Option<TraceContext>,
    parent: &[u8],
    states: &[&[u8]],
) {
    let Ok(parent) = std::str::from_utf8(parent) else { return };
    match TraceContext::new(parent) {
        Ok(context) => assert_eq!(Some(context), of_parent),
        Err(error) => {
            assert_names_a_field(&error);
            assert_eq!(of_parent, None);
        }
    }
    let joined = states.join(&b',');
    let (Some(context), Ok(state)) = (of_parent, std::str::from_utf8(&joined)) else { return };
    match context.with_tracestate(state) {
        Ok(context) => assert_eq!(Some(context), read),
        Err(error) => {
            assert_names_a_field(&error);
            assert_eq!(read.and_then(|read| read.tracestate), None);
        }
    }
}
