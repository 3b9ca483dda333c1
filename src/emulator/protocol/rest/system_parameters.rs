//! The parameters that every Google API takes in the query.
//!
//! See <https://cloud.google.com/apis/docs/system-parameters>.

use axum::body::Body;
use axum::response::IntoResponse;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use serde_json::Value;

use crate::emulator::error::{ApiError, shorten};
use crate::emulator::reply::{CompactJson, Json};
use crate::headers::{API_KEY, USER_PROJECT};
use crate::query::pairs;

/// The formats of replies: all of them are JSON, in which enums are names or numbers.
const JSON_FORMATS: [&str; 2] = ["json", "json;enum-encoding=int"];

/// The parameters of one request.
#[derive(Debug, Default)]
pub(crate) struct SystemParameters {
    /// `$ct`: the content type of the body.
    content_type: Option<String>,
    /// `fields`: the fields that the reply is to have. Empty stands for all.
    fields: Vec<String>,
    /// `prettyPrint=false`
    compact: bool,
    problems: Vec<(&'static str, String)>,
}

impl SystemParameters {
    /// Reads the query of a request. A parameter that stands for a header becomes that header, unless the
    /// request has it.
    pub(crate) fn read(head: &mut Parts) -> Self {
        let mut parameters = Self::default();
        for (name, value) in pairs(head.uri.query().unwrap_or_default()) {
            parameters.set(&name, value, &mut head.headers);
        }
        parameters
    }

    fn set(&mut self, name: &str, value: String, headers: &mut HeaderMap) {
        match name.strip_prefix('$').unwrap_or(name) {
            "access_token" | "oauth_token" => {
                set_header(headers, header::AUTHORIZATION, &format!("Bearer {value}"));
            }
            "key" => set_header(headers, API_KEY, &value),
            "userProject" => set_header(headers, USER_PROJECT, &value),
            "ct" if name.starts_with('$') => self.content_type = Some(value),
            "fields" => self.fields = fields(&value),
            "prettyPrint" => self.compact = value == "false",
            "alt" if !JSON_FORMATS.contains(&value.as_str()) => self.problems.push((
                "alt",
                format!("Invalid value at 'alt': only JSON is supported here, got {:?}", shorten(&value)),
            )),
            "apiVersion" if name.starts_with('$') => {}
            "alt" | "callback" | "quotaUser" | "uploadType" | "upload_protocol" | ".xgafv" | "xgafv" => {}
            _ => self.problems.push(("", unknown(name))),
        }
    }

    /// Returns the content type that the query gives to the body.
    pub(super) fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Checks the query of a request whose reply can have these fields.
    pub(crate) fn check(&self, reply_fields: &[&str]) -> Result<(), ApiError> {
        if !self.problems.is_empty() {
            return Err(ApiError::invalid_fields(&self.problems));
        }
        let is_known = |field: &&String| reply_fields.contains(&field.as_str());
        match self.fields.iter().find(|field| !is_known(field)) {
            None => Ok(()),
            Some(field) => {
                let field = shorten(field);
                let problem = "Error expanding 'fields' parameter. Cannot find matching fields for path";
                Err(ApiError::invalid_field(&field, &format!("{problem} '{field}'.")))
            }
        }
    }

    /// Returns a reply in the layout that the query asks for.
    pub(crate) fn respond(&self, result: Result<Value, ApiError>) -> Response<Body> {
        let result = result.map(|reply| self.selected(reply));
        match result {
            Ok(reply) if self.compact => CompactJson(reply).into_response(),
            Ok(reply) => Json(reply).into_response(),
            Err(error) => {
                let compact = self.compact.then(|| CompactJson(error.to_json()).into_response().into_body());
                let response = error.into_response();
                match compact {
                    Some(body) => response.map(|_| body),
                    None => response,
                }
            }
        }
    }

    /// Returns those fields of a reply that the query asks for.
    fn selected(&self, mut reply: Value) -> Value {
        if let Some(fields) = reply.as_object_mut().filter(|_| !self.fields.is_empty()) {
            fields.retain(|name, _| self.fields.contains(name));
        }
        reply
    }
}

fn set_header(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(true);
        headers.entry(name).or_insert(value);
    }
}

/// Reads a list of fields. `*` stands for all of them.
fn fields(value: &str) -> Vec<String> {
    let fields: Vec<_> = value.split(',').map(str::trim).filter(|field| !field.is_empty()).collect();
    if fields.contains(&"*") { Vec::new() } else { fields.into_iter().map(str::to_owned).collect() }
}

fn unknown(name: &str) -> String {
    let name = shorten(name);
    format!(
        "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. Field '{name}' \
         could not be found in request message."
    )
}
