//! The replies of the control pages.

use serde_json::{Value, json};

use crate::emulator::clock::{Clock, Skew, timestamp};
use crate::emulator::faults::ActiveFault;
use crate::emulator::journal::{JournalEntry, Outcome, Protocol};
use crate::error::code_name;
use crate::json_duration;

pub(super) fn fault(active: &ActiveFault) -> Value {
    let ActiveFault { id, fault, applied, .. } = active;
    let mut shown = json!({
        "effect": fault.effect_name(),
        "delay": json_duration::to_text(fault.delay_before()),
        "share": fault.applied_share(),
    });
    if let Some(method) = fault.matched_method() {
        shown["method"] = method.as_str().into();
    }
    if let Some(account) = fault.matched_account() {
        shown["account"] = account.into();
    }
    if let Some(times) = fault.limit() {
        shown["times"] = times.into();
    }
    json!({"id": id.number(), "applied": applied, "fault": shown})
}

pub(super) fn clock(clock: &Clock) -> Value {
    let skew = match clock.skew() {
        Skew::Ahead(distance) => json_duration::to_text(distance),
        Skew::Behind(distance) => format!("-{}", json_duration::to_text(distance)),
    };
    json!({
        "now": timestamp(clock.shown(clock.now())),
        "advanced": json_duration::to_text(clock.advanced()),
        "skew": skew,
    })
}

pub(super) fn journal_entry(entry: &JournalEntry) -> Value {
    let fields = &entry.fields;
    let mut request = json!({"name": entry.name, "delegates": entry.delegates});
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            request[name] = value;
        }
    };
    add("scope", (!fields.scopes.is_empty()).then(|| fields.scopes.clone().into()));
    add("lifetime", fields.lifetime.map(|lifetime| json_duration::to_text(lifetime).into()));
    add("audience", fields.audience.clone().map(Value::from));
    add("includeEmail", fields.include_email.then(|| true.into()));
    add("payloadLength", fields.payload_len.map(Value::from));
    add("grantType", fields.grant_type.clone().map(Value::from));
    add("options", fields.options.clone().map(Value::from));
    let metadata: Vec<_> = entry.headers.iter().map(|(name, value)| json!([name.as_str(), value])).collect();
    json!({
        "sequence": entry.sequence,
        "receivedAt": timestamp(entry.received_at),
        "method": entry.method.as_str(),
        "protocol": match entry.protocol { Protocol::Grpc => "grpc", Protocol::Rest => "rest" },
        "connection": entry.connection,
        "principal": entry.principal.as_deref(),
        "request": request,
        "metadata": metadata,
        "outcome": entry.outcome.as_ref().map(outcome),
    })
}

fn outcome(outcome: &Outcome) -> Value {
    json!({
        "code": code_name(outcome.code),
        "reason": outcome.reason,
        "message": outcome.message,
        "hop": outcome.hop,
        "fault": outcome.by_fault,
    })
}
