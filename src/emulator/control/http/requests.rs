//! The bodies of requests to the control pages.

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tonic::Code;

use crate::document::{Object, problem_of};
use crate::emulator::clock::Skew;
use crate::emulator::error::{ApiError, GOOGLE_DOMAIN};
use crate::emulator::faults::{DEFAULT_FAULT_MESSAGE, Fault, PlatformFault, StatusFault};
use crate::emulator::method::{Method, UnknownMethod};
use crate::error::code_from_name;
use crate::json_duration;

/// A fault to inject.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct FaultDocument {
    effect: String,
    method: Option<String>,
    account: Option<String>,
    times: Option<u64>,
    share: f64,
    delay: String,
    /// For the effect `status`.
    code: String,
    message: String,
    retry_delay: Option<String>,
    reason: String,
    domain: String,
    metadata: HashMap<String, String>,
    /// For the effect `html`.
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
            message: DEFAULT_FAULT_MESSAGE.to_owned(),
            retry_delay: None,
            reason: String::new(),
            domain: GOOGLE_DOMAIN.to_owned(),
            metadata: HashMap::new(),
            http_status: 502,
        }
    }
}

impl FaultDocument {
    pub(super) fn into_fault(self) -> Result<Fault, ApiError> {
        let effect = self.effect()?;
        let fault = effect.after(duration("delay", &self.delay)?).share(self.share);
        let mut fault = fault.map_err(|error| ApiError::invalid_field("share", &error.to_string()))?;
        if let Some(text) = self.method {
            fault = fault.method(method(&text)?);
        }
        if let Some(account) = self.account {
            fault = fault.account(account);
        }
        if let Some(times) = self.times {
            fault = fault.times(times);
        }
        Ok(fault)
    }

    fn effect(&self) -> Result<Fault, ApiError> {
        match self.effect.as_str() {
            "status" => self.status().map(Fault::from),
            "delay" => Ok(Fault::delay(Duration::ZERO)),
            "hang" => Ok(Fault::hang()),
            "reset" => Ok(Fault::reset()),
            "drain" => Ok(Fault::drain()),
            "goAway" => Ok(Fault::go_away()),
            "stallBody" => Ok(Fault::stall_body()),
            "truncate" => Ok(Fault::truncate()),
            "badDetails" => Ok(Fault::bad_details()),
            "html" => StatusCode::from_u16(self.http_status).map(Fault::html).map_err(|_| {
                ApiError::invalid_field("httpStatus", "an HTTP status is a number from 100 to 999")
            }),
            name => PlatformFault::from_name(name).map(Fault::platform).ok_or_else(|| {
                ApiError::invalid_field(
                    "effect",
                    "an effect is status, delay, hang, reset, drain, goAway, stallBody, truncate, html, \
                     badDetails, staleToken, wrongAudience, rotatedKey, issuerUnreachable, expiredCredentials, \
                     wrongSecret, wrongTargetResource or sessionTokenRefused",
                )
            }),
        }
    }

    fn status(&self) -> Result<StatusFault, ApiError> {
        let code = code_from_name(&self.code).filter(|code| *code != Code::Ok).ok_or_else(|| {
            ApiError::invalid_field("code", "a code is a name such as UNAVAILABLE, or its number")
        })?;
        let mut fault = Fault::status(code).message(&self.message);
        if !self.reason.is_empty() {
            fault = fault.error_info(&self.reason, &self.domain, self.metadata.clone());
        }
        if let Some(text) = &self.retry_delay {
            fault = fault.retry_info(duration("retryDelay", text)?);
        }
        Ok(fault)
    }
}

/// How to move the clock.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockDocument {
    advance: Option<String>,
    skew: Option<String>,
}

impl ClockDocument {
    pub(super) fn advance(&self) -> Result<Option<Duration>, ApiError> {
        self.advance.as_deref().map(|text| duration("advance", text)).transpose()
    }

    pub(super) fn skew(&self) -> Result<Option<Skew>, ApiError> {
        let Some(text) = &self.skew else { return Ok(None) };
        Ok(Some(match text.strip_prefix('-') {
            Some(distance) => Skew::Behind(duration("skew", distance)?),
            None => Skew::Ahead(duration("skew", text)?),
        }))
    }
}

/// A grant to add or to revoke.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct GrantDocument {
    pub(super) member: String,
    pub(super) role: String,
    pub(super) service_account: String,
    #[serde(default = "no_propagation")]
    pub(super) propagation: String,
}

fn no_propagation() -> String {
    "0s".to_owned()
}

/// A question to the policy.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CheckDocument {
    pub(super) principal: String,
    pub(super) service_account: String,
    #[serde(default)]
    pub(super) delegates: Vec<String>,
    pub(super) method: String,
}

/// A credential file to make.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImpersonatedDocument {
    pub(super) source: Value,
    pub(super) target: String,
    #[serde(default)]
    pub(super) delegates: Vec<String>,
}

/// The body of a request.
pub(super) trait Document: DeserializeOwned {
    /// A valid body, for errors.
    const EXAMPLE: &'static str;
}

impl Document for FaultDocument {
    const EXAMPLE: &'static str =
        r#"{"effect": "status", "code": "UNAVAILABLE", "method": "SignBlob", "times": 2}"#;
}

impl Document for ClockDocument {
    const EXAMPLE: &'static str = r#"{"advance": "3600s"}"#;
}

impl Document for GrantDocument {
    const EXAMPLE: &'static str = r#"{"member": "user:alice@example.com", "role": "roles/iam.serviceAccountTokenCreator", "serviceAccount": "sa@p.iam.gserviceaccount.com"}"#;
}

impl Document for CheckDocument {
    const EXAMPLE: &'static str = r#"{"principal": "user:alice@example.com", "serviceAccount": "sa@p.iam.gserviceaccount.com", "method": "SignBlob"}"#;
}

impl Document for ImpersonatedDocument {
    const EXAMPLE: &'static str =
        r#"{"source": {"type": "service_account"}, "target": "sa@p.iam.gserviceaccount.com"}"#;
}

/// Reads the body of a request. The content type doesn't matter, because `curl -d`
/// sends that of a form.
pub(super) fn read<T: Document>(body: &[u8]) -> Result<T, ApiError> {
    let invalid = |path: &str, problem: &str| {
        let place = if path.is_empty() { String::new() } else { format!(" at {path}") };
        let example = T::EXAMPLE;
        let text = format!("The body is invalid{place}: {problem}\nfix: send, for example, {example}");
        ApiError::invalid_field(path, &text)
    };
    let mut reader = serde_json::Deserializer::from_slice(body);
    let Object(document) = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        invalid(if path == "." { "" } else { &path }, &problem_of(error.inner()))
    })?;
    reader.end().map_err(|error| invalid("", &error.to_string()))?;
    Ok(document)
}

/// Reads a method.
pub(super) fn method(text: &str) -> Result<Method, ApiError> {
    text.parse().map_err(|error: UnknownMethod| ApiError::invalid_field("method", &error.to_string()))
}

/// Reads a duration that isn't negative.
pub(super) fn duration(field: &str, text: &str) -> Result<Duration, ApiError> {
    json_duration::parse_non_negative(text)
        .ok_or_else(|| ApiError::invalid_field(field, json_duration::EXPECTED))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that the example is valid, and that an error names the place, what was expected, and the example.
    fn check<T: Document>(wrong: &str, place: &str, expected: &str) {
        assert!(read::<T>(T::EXAMPLE.as_bytes()).is_ok(), "{}", T::EXAMPLE);
        let Err(error) = read::<T>(wrong.as_bytes()) else { panic!("{wrong} is accepted") };
        let fix = format!("\nfix: send, for example, {}", T::EXAMPLE);
        for part in [place, expected, &fix] {
            assert!(error.message().contains(part), "{wrong}: {}", error.message());
        }
    }

    /// conf: I12
    #[test]
    fn an_invalid_document_is_refused_with_its_place_and_an_example() {
        check::<FaultDocument>(
            r#"{"effect": "hang", "times": "2"}"#,
            "at times",
            "expected a number, got a string",
        );
        check::<FaultDocument>(r#"{"effct": "hang"}"#, "at effct", "unknown field `effct`");
        check::<FaultDocument>(r#"["hang"]"#, "invalid: ", "expected an object, got a list");
        check::<ClockDocument>(r#"{"advance": 60}"#, "at advance", "expected a string, got a number");
        check::<GrantDocument>("{}", "invalid: ", "missing field `member`");
        check::<CheckDocument>(r#"{"delegates": [1]}"#, "at delegates[0]", "expected a string");
        check::<ImpersonatedDocument>("{", "invalid", "EOF");
        check::<ImpersonatedDocument>("", "invalid", "EOF");
    }
}
