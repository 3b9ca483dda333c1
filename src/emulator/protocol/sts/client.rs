//! The OAuth client that sends a request.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, header};

use crate::emulator::error::OauthError;

/// The id and the secret of a client. The emulator accepts all clients.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: String,
}

impl Client {
    /// Reads the client in the header `authorization`, if there is one.
    pub(super) fn read(headers: &HeaderMap) -> Result<Option<Self>, OauthError> {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
        let client = value.to_str().ok().and_then(Self::from_basic);
        let problem = "The authorization header must be HTTP Basic with the client's id and secret.";
        client.map(Some).ok_or_else(|| OauthError::client("invalid_client", problem))
    }

    fn from_basic(value: &str) -> Option<Self> {
        let (scheme, encoded) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (id, secret) = text.split_once(':').filter(|(id, _)| !id.is_empty())?;
        Some(Self { id: id.to_owned(), secret: secret.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_basic_authentication_is_read() {
        let read = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            Client::read(&headers).map_err(|error| error.status().as_u16())
        };
        let client = |id: &str, secret: &str| Ok(Some(Client { id: id.into(), secret: secret.into() }));
        assert_eq!(read("Basic aWQ6c2VjcmV0"), client("id", "secret"));
        assert_eq!(read("basic aWQ6"), client("id", ""));
        for wrong in ["Bearer token", "Basic", "Basic !", "Basic aWQ", "Basic OnNlY3JldA=="] {
            assert_eq!(read(wrong), Err(401), "{wrong}");
        }
        assert_eq!(Client::read(&HeaderMap::new()).unwrap(), None);
    }
}
