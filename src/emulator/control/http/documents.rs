//! The JSON of the control pages.

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::ErrorDetails;

use crate::emulator::clock::{Clock, unix};
use crate::emulator::error::Refusal;
use crate::emulator::faults::Fault;
use crate::emulator::journal::{JournalEntry, Outcome, Protocol};
use crate::emulator::protocol::proto_json;
use crate::error::{code_from_name, code_name};

/// A fault to inject.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct FaultDocument {
    effect: String,
    method: Option<String>,
    account: Option<String>,
    times: Option<u64>,
    share: f64,
    delay: String,
    /// Of a status.
    code: String,
    message: String,
    retry_delay: Option<String>,
    reason: String,
    domain: String,
    metadata: HashMap<String, String>,
    /// Of a page of HTML.
    http_status: u16,
}

impl Default for FaultDocument {
    fn default() -> Self {
        Self {
            effect: String::new(),
            method: None,
            account: None,
            times: None,
            share: 1.0,
            delay: "0s".to_owned(),
            code: "UNAVAILABLE".to_owned(),
            message: "a fault of the emulator".to_owned(),
            retry_delay: None,
            reason: String::new(),
            domain: "googleapis.com".to_owned(),
            metadata: HashMap::new(),
            http_status: 502,
        }
    }
}

impl FaultDocument {
    pub(crate) fn into_fault(self) -> Result<Fault, Refusal> {
        let mut fault = match self.effect.as_str() {
            "status" => self.status()?,
            "delay" => Fault::delay(Duration::ZERO),
            "hang" => Fault::hang(),
            "reset" => Fault::reset(),
            "goAway" => Fault::go_away(),
            "stallBody" => Fault::stall_body(),
            "truncate" => Fault::truncate(),
            "badDetails" => Fault::bad_details(),
            "html" => Fault::html(
                StatusCode::from_u16(self.http_status)
                    .map_err(|_| Refusal::bad_field("httpStatus", "no HTTP status"))?,
            ),
            _ => {
                return Err(Refusal::bad_field(
                    "effect",
                    "an effect is status, delay, hang, reset, goAway, stallBody, truncate, html or badDetails",
                ));
            }
        };
        fault = fault.after(duration("delay", &self.delay)?).share(self.share);
        if let Some(method) = self.method {
            let method = method.parse();
            fault = fault.method(method.map_err(|error| super::bad("method", &error))?);
        }
        if let Some(account) = self.account {
            fault = fault.account(account);
        }
        if let Some(times) = self.times {
            fault = fault.times(times);
        }
        Ok(fault)
    }

    fn status(&self) -> Result<Fault, Refusal> {
        let code = code_from_name(&self.code).filter(|code| *code != Code::Ok).ok_or_else(|| {
            Refusal::bad_field("code", "a code is a name such as UNAVAILABLE, or its number")
        })?;
        let mut details = ErrorDetails::new();
        if !self.reason.is_empty() {
            details.set_error_info(&self.reason, &self.domain, self.metadata.clone());
        }
        if let Some(text) = &self.retry_delay {
            details.set_retry_info(Some(duration("retryDelay", text)?));
        }
        Ok(Fault::status_with_details(code, &self.message, details))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClockDocument {
    pub(crate) advance: Option<String>,
    pub(crate) skew: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct GrantDocument {
    pub(crate) member: String,
    pub(crate) role: String,
    pub(crate) service_account: String,
    #[serde(default = "no_time")]
    pub(crate) propagation: String,
}

fn no_time() -> String {
    "0s".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct CheckDocument {
    pub(crate) principal: String,
    pub(crate) service_account: String,
    #[serde(default)]
    pub(crate) delegates: Vec<String>,
    pub(crate) method: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImpersonatedDocument {
    pub(crate) source: Value,
    pub(crate) target: String,
    #[serde(default)]
    pub(crate) delegates: Vec<String>,
}

/// Reads a duration that is not negative.
pub(crate) fn duration(field: &str, text: &str) -> Result<Duration, Refusal> {
    proto_json::duration(text)
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| Refusal::bad_field(field, "a duration is a number of seconds, such as \"120s\""))
}

pub(crate) fn fault(fault: &Fault) -> Value {
    let mut shown = json!({
        "effect": fault.effect_name(),
        "delay": proto_json::duration_text(fault.delay_before()),
        "share": fault.struck_share(),
    });
    let (method, account, times) = fault.narrowed_to();
    if let Some(method) = method {
        shown["method"] = method.as_str().into();
    }
    if let Some(account) = account {
        shown["account"] = account.into();
    }
    if let Some(times) = times {
        shown["times"] = times.into();
    }
    shown
}

pub(crate) fn clock(clock: &Clock) -> Value {
    let skew = clock.skew_ms();
    let distance = proto_json::duration_text(Duration::from_millis(skew.unsigned_abs()));
    json!({
        "now": timestamp(clock.shown(clock.now())),
        "advanced": proto_json::duration_text(clock.advanced()),
        "skew": if skew < 0 { format!("-{distance}") } else { distance },
    })
}

fn timestamp(instant: std::time::SystemTime) -> String {
    prost_types::Timestamp { seconds: unix(instant), nanos: 0 }.to_string()
}

pub(crate) fn journal_entry(entry: &JournalEntry) -> Value {
    let fields = &entry.fields;
    let mut request = json!({"name": entry.name, "delegates": entry.delegates});
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            request[name] = value;
        }
    };
    add("scope", (!fields.scopes.is_empty()).then(|| fields.scopes.clone().into()));
    add("lifetime", fields.lifetime.map(|lifetime| proto_json::duration_text(lifetime).into()));
    add("audience", fields.audience.clone().map(Value::from));
    add("includeEmail", fields.include_email.then(|| true.into()));
    add("payloadLength", fields.payload_len.map(Value::from));
    add("grantType", fields.grant_type.clone().map(Value::from));
    let metadata: Vec<_> = entry.metadata.iter().map(|(name, value)| json!([name, value])).collect();
    json!({
        "sequence": entry.sequence,
        "receivedAt": timestamp(entry.received_at),
        "method": entry.method.as_str(),
        "protocol": match entry.protocol { Protocol::Grpc => "grpc", Protocol::Rest => "rest" },
        "connection": entry.connection,
        "caller": entry.caller,
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
        "fault": outcome.fault,
    })
}
