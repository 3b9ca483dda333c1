//! Everything that the crate showed.

use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::iter::successors;
use std::sync::{Arc, Mutex};

use gcp_iam_credentials::{Credentials, Error};

/// The texts, each with the place that it is from.
#[derive(Clone, Default)]
pub(crate) struct Shown(Arc<Mutex<Vec<(String, String)>>>);

impl Shown {
    pub(crate) fn text(&self, place: &str, text: impl Into<String>) {
        self.0.lock().unwrap().push((place.to_owned(), text.into()));
    }

    pub(crate) fn debug(&self, place: &str, value: &impl Debug) {
        self.text(place, format!("{value:?}\n{value:#?}"));
    }

    pub(crate) fn display(&self, place: &str, value: &(impl Display + Debug)) {
        self.text(place, format!("{value}\n{value:#}"));
        self.debug(place, value);
    }

    /// Adds an error, the whole chain of its sources, and its advice.
    pub(crate) fn error(&self, place: &str, error: &(dyn StdError + 'static)) {
        for error in successors(Some(error), |error| (*error).source()) {
            self.text(place, format!("{error}\n{error:#}\n{error:?}\n{error:#?}"));
            if let Some(error) = error.downcast_ref::<Error>() {
                let service = error.service().map(|service| format!("{service} {service:?}"));
                self.text(place, format!("{:?} {:?} {service:?}", error.hint(), error.field()));
            }
        }
    }

    /// Adds what a call returned, and returns it if it is a success.
    pub(crate) fn outcome<T: Debug>(&self, place: &str, outcome: Result<T, Error>) -> Option<T> {
        match outcome {
            Ok(value) => {
                self.debug(place, &value);
                Some(value)
            }
            Err(error) => {
                self.error(place, &error);
                None
            }
        }
    }

    /// Adds all that credentials say about themselves.
    pub(crate) fn credentials(&self, place: &str, credentials: &Credentials) {
        self.debug(place, credentials);
        self.display(place, &credentials.explain());
        self.debug(place, &credentials.status());
        self.debug(place, &credentials.info());
        self.debug(place, &credentials.layer());
        self.debug(place, &credentials.cached());
    }

    /// Adds the messages of all panics from now on.
    pub(crate) fn panics(&self) {
        let shown = self.clone();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            shown.text("panic", panic.to_string());
            before(panic);
        }));
    }

    pub(crate) fn each(&self, mut look: impl FnMut(&str, &str)) {
        let texts = self.0.lock().unwrap().clone();
        texts.iter().for_each(|(place, text)| look(place, text));
    }
}
