use super::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn with_state(values: &[&str]) -> Option<String> {
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, PARENT.parse().unwrap());
    headers.extend(values.iter().map(|value| (TRACESTATE, value.parse().unwrap())));
    let context = TraceContext::from_headers(&headers).unwrap();
    assert_eq!(context.traceparent(), PARENT);
    context.tracestate().map(str::to_owned)
}

#[test]
fn a_valid_parent_is_kept_as_it_is() {
    for (flags, sampled) in [("00", false), ("01", true), ("02", false), ("03", true), ("ff", true)] {
        let value = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        let context = TraceContext::new(&value).unwrap();
        assert_eq!(context.traceparent(), value);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.parent_id(), "00f067aa0ba902b7");
        assert_eq!((context.is_sampled(), context.tracestate()), (sampled, None));
    }
}

#[test]
fn a_malformed_parent_is_an_error_that_names_the_field() {
    let invalid = [
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0G",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "FF-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "0-4bf92f3577b34da6a3ce929d0e0e47361-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.extra",
        "00-4bf92f3577b34da6a3ce929d0e0e47é-00f067aa0ba902b7-01",
    ];
    for value in invalid {
        let error = TraceContext::new(value).unwrap_err();
        assert_eq!(error.field(), Some("traceparent"), "{value}");
    }
}

#[test]
fn a_later_version_is_read_as_far_as_it_is_known() {
    let ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
    for (value, flags) in [
        (format!("01-{ids}-01"), "01"),
        (format!("cc-{ids}-ff-what-comes"), "03"),
        (format!("fe-{ids}-04-"), "00"),
    ] {
        let context = TraceContext::new(&value).unwrap();
        assert_eq!(context.traceparent(), format!("00-{ids}-{flags}"), "{value}");
    }
}

#[test]
fn several_states_are_one_list_without_spaces() {
    assert_eq!(with_state(&[]), None);
    assert_eq!(with_state(&["", " , \t,"]), None);
    let one = with_state(&["a=1 ,\tb= 2", "", "0tenant@system=x/y;z:!\"~"]);
    assert_eq!(one.as_deref(), Some("a=1,b= 2,0tenant@system=x/y;z:!\"~"));
}

#[test]
fn an_invalid_state_is_dropped_from_headers_and_is_an_error_of_the_setter() {
    let long_key = format!("{}=1", "k".repeat(257));
    let long_value = format!("k={}", "v".repeat(257));
    let many = (0..33).map(|index| format!("k{index}=v")).collect::<Vec<_>>().join(",");
    let invalid =
        ["a", "=1", "a=", "a= ", "A=1", "a=1=2", "a=1,a=2", "a =1", "é=1", "a=é", "@a=1", "_a=1", "a=1;b,c"];
    for state in invalid.into_iter().chain([&*long_key, &*long_value, &*many]) {
        let error = TraceContext::new(PARENT).unwrap().with_tracestate(state).unwrap_err();
        assert_eq!(error.field(), Some("tracestate"), "{state}");
        assert_eq!(with_state(&["good=1", state]), None, "{state}");
    }
}

#[test]
fn what_the_limits_allow_is_sent_whole() {
    let longest = format!("{}={}", "k".repeat(240), "v".repeat(256));
    let most = (10..42).map(|index| format!("k{index}={}", "v".repeat(11))).collect::<Vec<_>>().join(",");
    assert!(longest.len() < 512 && most.len() == 511);
    for state in [longest, most] {
        assert_eq!(with_state(&[&state]), Some(state));
    }
}

#[test]
fn a_long_state_loses_its_long_members_first_and_then_the_last_ones() {
    let member = |key: &str, length: usize| format!("{key}={}", "v".repeat(length - key.len() - 1));
    let state = [member("a", 200), member("b", 128), member("c", 129), member("d", 128)].join(",");
    // 588 characters: without `c`, 458.
    let kept = [member("a", 200), member("b", 128), member("d", 128)].join(",");
    assert_eq!(with_state(&[&state]), Some(kept));

    let state = ["a", "b", "c", "d", "e"].map(|key| member(key, 128)).join(",");
    assert_eq!(with_state(&[&state]), Some(["a", "b", "c"].map(|key| member(key, 128)).join(",")));
}

#[test]
fn two_parents_are_none() {
    let mut headers = HeaderMap::new();
    headers.append(TRACEPARENT, PARENT.parse().unwrap());
    headers.append(TRACEPARENT, PARENT.parse().unwrap());
    assert_eq!(TraceContext::from_headers(&headers), None);
}

#[test]
fn a_state_is_not_shown() {
    let context = TraceContext::new(PARENT).unwrap().with_tracestate("vendor=hidden").unwrap();
    assert_eq!(format!("{context:?}"), format!("TraceContext {{ traceparent: {PARENT:?}, .. }}"));
}
