//! Why there is no connection through a proxy.

use std::error::Error as StdError;
use std::fmt;
use std::iter::successors;

use crate::Error;

/// A failure on the way through a proxy. It contains no user and no password.
#[derive(Debug)]
pub(crate) struct ProxyFailure {
    /// Host and port of the proxy.
    proxy: String,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    /// It requires a user and a password, or others than it got.
    LoginRequired,
    /// There is no connection to the proxy, or it didn't make one to the destination.
    Other(String),
}

impl ProxyFailure {
    /// Reads the error of hyper-util's connector for `proxy`. Its type isn't public, so that only
    /// the text says what happened.
    pub(super) fn new(proxy: String, error: &(dyn StdError + 'static)) -> Self {
        let mut causes: Vec<String> =
            successors(Some(error), |error| (*error).source()).map(ToString::to_string).collect();
        causes.dedup_by(|cause, shown| shown.ends_with(&**cause));
        let text = causes.join(": ");
        let refusals =
            ["proxy authorization required", "user/pass authentication", "credentials not accepted"];
        let reason = match refusals.iter().any(|refusal| text.contains(refusal)) {
            true => Reason::LoginRequired,
            false => Reason::Other(text),
        };
        Self { proxy, reason }
    }

    #[cfg(feature = "_tls")]
    pub(super) fn other(proxy: String, text: impl Into<String>) -> Self {
        Self { proxy, reason: Reason::Other(text.into()) }
    }

    /// Returns this failure, if it is among the causes of `error`.
    pub(crate) fn among<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        successors(Some(error), |error| (*error).source()).find_map(|error| error.downcast_ref())
    }

    /// Returns an error with this message, and with advice. A refused password stays refused.
    pub(crate) fn to_error(&self, message: String) -> Error {
        let is_transient = !matches!(self.reason, Reason::LoginRequired);
        Error::transport(message, is_transient).fix_by(match self.reason {
            Reason::LoginRequired => {
                "put the proxy's user and password into its URL: \
                 HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
            }
            Reason::Other(_) => {
                "check that the proxy allows connections to this host, or name the host in NO_PROXY"
            }
        })
    }
}

impl fmt::Display for ProxyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = &self.proxy;
        match &self.reason {
            Reason::LoginRequired => write!(f, "the proxy {proxy} requires a valid user and password"),
            Reason::Other(text) => write!(f, "no connection through the proxy {proxy}: {text}"),
        }
    }
}

impl StdError for ProxyFailure {}
