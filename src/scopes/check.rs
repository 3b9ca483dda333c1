//! What a list of scopes must be.

use crate::Error;

/// Returns the scopes if there is at least one, and none is empty or has a space.
pub(crate) fn checked_scopes(
    scopes: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<Vec<String>, Error> {
    let scopes: Vec<String> = scopes.into_iter().map(|scope| scope.as_ref().to_owned()).collect();
    if scopes.is_empty() {
        return Err(Error::invalid(
            "scopes",
            "must contain at least one scope, such as `scopes::CLOUD_PLATFORM`",
        ));
    }
    let bad = |scope: &String| scope.is_empty() || !scope.bytes().all(|b| b.is_ascii_graphic());
    match scopes.iter().position(bad) {
        Some(index) => Err(Error::invalid("scopes", "must be a scope without spaces").at_index(index)),
        None => Ok(scopes),
    }
}
