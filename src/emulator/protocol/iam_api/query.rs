//! The parameters that a method takes in the query, besides those of every Google API.

use http::Uri;
use http::uri::PathAndQuery;

use crate::emulator::error::{ApiError, shorten};
use crate::query::pairs;

/// The parameters of one request.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Takes the parameters with these names out of a request's URI. The others stay.
    pub(super) fn take(uri: &mut Uri, names: &[&str]) -> Self {
        let Some(query) = uri.query().filter(|_| !names.is_empty()) else { return Self::default() };
        let mut taken = Vec::new();
        let mut left = Vec::new();
        for text in query.split('&') {
            match pairs(text).next().filter(|(name, _)| names.contains(&name.as_str())) {
                Some(pair) => taken.push(pair),
                None => left.push(text),
            }
        }
        let path = format!("{}?{}", uri.path(), left.join("&"));
        let mut parts = uri.clone().into_parts();
        // Parts of a valid URI are valid.
        parts.path_and_query = PathAndQuery::try_from(path).ok().or(parts.path_and_query);
        if let Ok(shorter) = Uri::from_parts(parts) {
            *uri = shorter;
        }
        Self(taken)
    }

    /// Returns the last value of a parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().rfind(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns all values of a parameter.
    pub(super) fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the value of a parameter that is a number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u32>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let invalid = || {
            let text = shorten(text);
            ApiError::invalid_field(name, &format!("Invalid value at '{name}' (TYPE_INT32), \"{text}\""))
        };
        text.parse().map(Some).map_err(|_| invalid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_methods_own_parameters_are_taken_and_the_others_stay() {
        let mut uri: Uri = "/v1/x?alt=json&pageSize=5&keyTypes=A&keyTypes=B".parse().unwrap();
        let query = Query::take(&mut uri, &["pageSize", "keyTypes"]);
        assert_eq!(uri, "/v1/x?alt=json");
        assert_eq!(query.number("pageSize").unwrap(), Some(5));
        assert_eq!(query.all("keyTypes").collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!(query.text("keyTypes"), Some("B"));
        assert_eq!(query.number("pageToken").unwrap(), None);
        query.number("keyTypes").unwrap_err();
    }
}
