//! Who holds a permission.

/// A principal, as grants see it: its name, and the names of the principal sets that include it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder<'a> {
    pub(super) name: &'a str,
    pub(super) sets: &'a [String],
    /// Whether it has no permission on accounts and projects, whatever the grants say.
    pub(crate) is_limited: bool,
}

impl<'a> Holder<'a> {
    /// Returns the holder with this name. `sets` are the sets by attribute and by group that include it.
    pub(crate) fn new(name: &'a str, sets: &'a [String]) -> Self {
        Self { name, sets, is_limited: false }
    }

    /// Returns the holder without any permission on accounts and projects.
    pub(crate) fn limited(self) -> Self {
        Self { is_limited: true, ..self }
    }
}

impl<'a> From<&'a str> for Holder<'a> {
    fn from(name: &'a str) -> Self {
        Self::new(name, &[])
    }
}
