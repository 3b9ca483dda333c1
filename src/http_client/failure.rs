//! The error of a request that got no reply.

use std::error::Error as StdError;
use std::io;

use crate::Error;
use crate::proxy::ProxyFailure;

/// What was done when it failed.
#[derive(Clone, Copy)]
pub(super) enum Step {
    Connect,
    Send,
    ReadReply,
}

/// Returns the error for a step that failed because of `error`. It names the host and the causes.
pub(super) fn transport_failure(step: Step, host: &str, error: &(dyn StdError + 'static)) -> Error {
    if let Some(failure) = ProxyFailure::among(error) {
        return proxy_failure(failure, host);
    }
    #[cfg(feature = "_tls")]
    if let Some(reason) = refused_certificate(error) {
        return Error::transport(format!("{host} refuses the client certificate: {reason}"), false);
    }
    let what = match step {
        Step::Connect => "can't connect to",
        Step::Send => "lost the connection to",
        Step::ReadReply => "lost the reply from",
    };
    let chain = || std::iter::successors(Some(error), |error| cause(*error));
    let mut causes: Vec<String> = chain().map(ToString::to_string).collect();
    // Some errors contain the text of their cause.
    causes.dedup_by(|cause, shown| shown.ends_with(&**cause));
    let message = format!("{what} {host}: {}", causes.join(": "));
    // An invalid certificate stays invalid.
    let permanent = chain()
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::InvalidData);
    Error::transport(message, !permanent)
}

/// Returns why the server refuses the identity of the client, or the lack of one, if that is the cause.
/// With TLS 1.3, the client learns it only after the handshake.
#[cfg(feature = "_tls")]
fn refused_certificate(error: &(dyn StdError + 'static)) -> Option<String> {
    use rustls::AlertDescription as Alert;

    let refusals = [
        Alert::AccessDenied,
        Alert::BadCertificate,
        Alert::CertificateExpired,
        Alert::CertificateRequired,
        Alert::CertificateRevoked,
        Alert::CertificateUnknown,
        Alert::DecryptError,
        Alert::UnknownCA,
        Alert::UnsupportedCertificate,
    ];
    let mut chain = std::iter::successors(Some(error), |error| cause(*error));
    chain.find_map(|error| match error.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) if refusals.contains(alert) => Some(format!("{alert:?}")),
        _ => None,
    })
}

/// Returns the error of a connection through a proxy.
pub(super) fn proxy_failure(failure: &ProxyFailure, host: &str) -> Error {
    failure.to_error(format!("can't connect to {host}: {failure}"))
}

/// Returns the cause, including the error inside an [`io::Error`], which its `source` skips.
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}
