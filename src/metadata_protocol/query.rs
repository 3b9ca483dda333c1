//! The query of a request.

use std::time::Duration;

use http::StatusCode;

use super::Refusal;
use crate::query::pairs;

/// The format of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alt {
    Text,
    Json,
}

/// What the query of a request says. Parameters that the metadata server doesn't know have no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) recursive: bool,
    pub(crate) alt: Option<Alt>,
    /// The audience of an ID token.
    pub(crate) audience: String,
    /// Whether an ID token contains the e-mail address and the machine.
    pub(crate) full: bool,
    /// Whether an ID token contains the machine's licenses.
    pub(crate) licenses: bool,
    /// The scopes of an access token.
    pub(crate) scopes: Vec<String>,
    pub(crate) wait: Option<Wait>,
}

/// A request that is answered when a page has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// The `ETag` of the page that the client has. Without it, the client waits for the next change.
    pub(crate) last_etag: Option<String>,
    /// How long the request waits at most. Then it is answered with the page as it is.
    pub(crate) timeout: Option<Duration>,
}

impl Query {
    /// Reads a query string. If a parameter occurs twice, the last one counts.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let mut query = Self::default();
        let (mut waits, mut wait) = (false, Wait { last_etag: None, timeout: None });
        for (name, value) in pairs(text) {
            match name.as_str() {
                "recursive" => query.recursive = is_true(&value),
                "alt" => query.alt = Some(alt(&value)?),
                "audience" => query.audience = value,
                "format" => query.full = value == "full",
                "licenses" => query.licenses = is_true(&value),
                "scopes" => query.scopes = scopes(&value),
                "wait_for_change" => waits = is_true(&value),
                "last_etag" => wait.last_etag = Some(value),
                "timeout_sec" => wait.timeout = Some(timeout(&value)?),
                _ => {}
            }
        }
        query.wait = waits.then_some(wait);
        Ok(query)
    }
}

fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

fn alt(value: &str) -> Result<Alt, Refusal> {
    match value {
        "text" => Ok(Alt::Text),
        "json" => Ok(Alt::Json),
        _ => Err(Refusal::new(StatusCode::BAD_REQUEST, "Invalid alt parameter: must be text or json.")),
    }
}

/// Scopes are separated by commas. No scope contains a space, and some libraries separate them by one.
fn scopes(value: &str) -> Vec<String> {
    value.split([',', ' ']).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
}

fn timeout(value: &str) -> Result<Duration, Refusal> {
    const INVALID: Refusal =
        Refusal::new(StatusCode::BAD_REQUEST, "Invalid timeout_sec parameter: must be whole seconds.");
    value.parse().map(|seconds: u32| Duration::from_secs(seconds.into())).map_err(|_| INVALID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_to_return_and_when() {
        let text = "recursive=True&alt=json&audience=https%3A%2F%2Fa%2Fb%3Fc&format=full&licenses=TRUE&scopes=a,b,,c";
        let query = Query::parse(text).unwrap();
        assert!(query.recursive && query.full && query.licenses);
        assert_eq!((query.alt, &*query.audience), (Some(Alt::Json), "https://a/b?c"));
        assert_eq!((query.scopes, query.wait), (vec!["a".to_owned(), "b".into(), "c".into()], None));

        let waits = Query::parse("wait_for_change=true&last_etag=0&timeout_sec=3").unwrap().wait;
        let expected = Wait { last_etag: Some("0".to_owned()), timeout: Some(Duration::from_secs(3)) };
        assert_eq!(waits, Some(expected));
        assert_eq!(Query::parse("timeout_sec=3&last_etag=0&unknown=1"), Ok(Query::default()));
        for wrong in ["timeout_sec=-1", "timeout_sec=soon", "timeout_sec=99999999999999999999", "alt="] {
            assert_eq!(Query::parse(wrong).unwrap_err().status, StatusCode::BAD_REQUEST, "{wrong}");
        }
    }
}
