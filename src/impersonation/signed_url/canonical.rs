//! Headers and parameters in the form in which they are signed.

use std::collections::BTreeMap;

use http::{HeaderName, header};

use super::encoding::encoded;
use crate::Error;
use crate::error::shorten;

/// The parameters of signatures, in lower case and without the prefixes of [`PREFIXES`], and those of
/// older signatures. Cloud Storage would take them for another signature.
const OF_SIGNATURES: [&str; 6] = ["algorithm", "credential", "date", "expires", "signedheaders", "signature"];
const OF_OLD_SIGNATURES: [&str; 4] = ["awsaccesskeyid", "expires", "googleaccessid", "signature"];
const PREFIXES: [&str; 2] = ["x-goog-", "x-amz-"];

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
        if is_of_signatures(&name.to_ascii_lowercase()) {
            return Err(Error::invalid(field(), "can't be added, because signatures use this name"));
        }
        if canonical.insert(encoded(name), encoded(value)).is_some() {
            return Err(Error::invalid(field(), "must be added once, got it twice"));
        }
    }
    Ok(canonical)
}

/// Whether signatures have a parameter of this name, in lower case.
fn is_of_signatures(name: &str) -> bool {
    let has = |prefix: &&str| name.strip_prefix(*prefix).is_some_and(|rest| OF_SIGNATURES.contains(&rest));
    PREFIXES.iter().any(has) || OF_OLD_SIGNATURES.contains(&name)
}
