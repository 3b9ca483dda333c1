//! The cache as its callers see it: lists of steps that run on a paused clock.

mod clocks;
mod failures;
mod fetches;
mod interpreter;
mod life;
mod outages;
mod rejections;
mod replacements;
mod source;

/// One test for each named list of steps.
macro_rules! scenarios {
    ($($(#[$attribute:meta])* $name:ident: [$($step:expr),* $(,)?];)*) => {$(
        $(#[$attribute])*
        #[test]
        fn $name() {
            super::interpreter::run(vec![$($step),*]);
        }
    )*};
}
use scenarios;
