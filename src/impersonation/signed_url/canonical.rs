//! Headers and parameters in the form in which they are signed.

use std::collections::BTreeMap;

use http::{HeaderName, header};

use super::encoding::encoded;
use crate::Error;
use crate::error::shorten;

/// The parameters of signatures, in lower case: those of V4, then those of V2, which Cloud Storage
/// would take for another signature.
const OF_SIGNATURES: [&str; 9] = [
    "x-goog-algorithm",
    "x-goog-credential",
    "x-goog-date",
    "x-goog-expires",
    "x-goog-signedheaders",
    "x-goog-signature",
    "googleaccessid",
    "expires",
    "signature",
];

/// Returns the headers by their names in lower case. Several values of a name become one.
pub(super) fn canonical_headers(headers: &[(String, String)]) -> Result<BTreeMap<String, String>, Error> {
    let mut canonical = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        let field = || format!("header[{:?}]", shorten(name));
        let legal = HeaderName::try_from(name)
            .map_err(|_| Error::invalid(field(), "must have a legal name: letters, digits and `-_.`"))?;
        if legal == header::HOST {
            return Err(Error::invalid(field(), "can't be added, because the URL's host is signed"));
        }
        if !value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
            return Err(Error::invalid(field(), "must have a value of visible ASCII, spaces and tabs"));
        }
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        let value = words.join(" ");
        canonical
            .entry(legal.as_str().to_owned())
            .and_modify(|values| values.extend([",", &value]))
            .or_insert(value.clone());
    }
    Ok(canonical)
}

/// Returns the encoded parameters by their encoded names, in whose order they are signed.
pub(super) fn canonical_query(query: &[(String, String)]) -> Result<BTreeMap<String, String>, Error> {
    let mut canonical = BTreeMap::new();
    for (name, value) in query {
        let field = || format!("query[{:?}]", shorten(name));
        if name.is_empty() {
            return Err(Error::invalid(field(), "must have a name"));
        }
        if OF_SIGNATURES.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(Error::invalid(field(), "can't be added, because signatures use this name"));
        }
        if canonical.insert(encoded(name), encoded(value)).is_some() {
            return Err(Error::invalid(field(), "must be added once, got it twice"));
        }
    }
    Ok(canonical)
}
