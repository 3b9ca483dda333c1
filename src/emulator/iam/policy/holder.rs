//! Who holds a permission.

/// A principal, as grants see it: its name, and the names of the principal sets that include it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder<'a> {
    pub(super) name: &'a str,
    pub(super) sets: &'a [String],
}

impl<'a> Holder<'a> {
    /// Returns the holder with this name. `sets` are the sets by attribute and by group that include it.
    pub(crate) fn new(name: &'a str, sets: &'a [String]) -> Self {
        Self { name, sets }
    }
}

impl<'a> From<&'a str> for Holder<'a> {
    fn from(name: &'a str) -> Self {
        Self::new(name, &[])
    }
}
