//! What is exchanged for a token.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};

use crate::headers::API_CLIENT;
use crate::sts_protocol::{ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// What is exchanged for a token.
#[derive(Clone, Copy)]
pub(crate) enum Grant<'a> {
    /// A JWT that the principal signed, or that was signed for it.
    JwtBearer { assertion: &'a str },
    /// A user's earlier consent. `scope` narrows it; `None` means all of it.
    RefreshToken {
        client_id: &'a str,
        client_secret: &'a str,
        refresh_token: &'a str,
        scope: Option<&'a str>,
    },
    /// A token of another issuer.
    TokenExchange(TokenExchange<'a>),
}

/// A token of another issuer, and what Google's Security Token Service needs to know about it.
#[derive(Clone, Copy)]
pub(crate) struct TokenExchange<'a> {
    /// The provider that knows the identity.
    pub(crate) audience: &'a str,
    /// The scopes, separated by spaces.
    pub(crate) scope: &'a str,
    pub(crate) subject_token: &'a str,
    pub(crate) subject_token_type: &'a str,
    /// More options, as JSON.
    pub(crate) options: Option<&'a str>,
    /// The program's own OAuth client, which authenticates by HTTP Basic.
    pub(crate) client: Option<ClientAuthentication<'a>>,
    /// The value of the metrics header.
    pub(crate) api_client: &'a HeaderValue,
}

/// An OAuth client's id, without a colon, and its secret, which may be empty.
#[derive(Clone, Copy)]
pub(crate) struct ClientAuthentication<'a> {
    pub(crate) id: &'a str,
    pub(crate) secret: &'a str,
}

impl ClientAuthentication<'_> {
    /// Returns the value of `authorization`.
    fn basic(self) -> Option<HeaderValue> {
        let encoded = STANDARD.encode(format!("{}:{}", self.id, self.secret));
        let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(any(test, fuzzing))]
impl Grant<'static> {
    /// A grant whose secrets contain `hidden`.
    pub(super) const HIDDEN: Self = Self::RefreshToken {
        client_id: "id",
        client_secret: "GOCSPX-hidden-secret",
        refresh_token: "1//0g-hidden-refresh-token",
        scope: None,
    };
}

impl<'a> Grant<'a> {
    /// Writes the grant as the body of a request.
    pub(super) fn form(self) -> String {
        let mut form = String::new();
        let mut field = |name: &str, value: &str| {
            if !form.is_empty() {
                form.push('&');
            }
            form.push_str(name);
            form.push('=');
            encode(value, &mut form);
        };
        match self {
            Self::JwtBearer { assertion } => {
                field("grant_type", JWT_BEARER);
                field("assertion", assertion);
            }
            Self::RefreshToken { client_id, client_secret, refresh_token, scope } => {
                field("grant_type", "refresh_token");
                field("client_id", client_id);
                field("client_secret", client_secret);
                field("refresh_token", refresh_token);
                if let Some(scope) = scope {
                    field("scope", scope);
                }
            }
            Self::TokenExchange(exchange) => {
                field("grant_type", TOKEN_EXCHANGE);
                field("requested_token_type", ACCESS_TOKEN_TYPE);
                field("audience", exchange.audience);
                field("scope", exchange.scope);
                field("subject_token", exchange.subject_token);
                field("subject_token_type", exchange.subject_token_type);
                if let Some(options) = exchange.options {
                    field("options", options);
                }
            }
        }
        form
    }

    /// Adds the headers that only this grant has.
    pub(super) fn set_headers(self, headers: &mut HeaderMap) {
        let Self::TokenExchange(exchange) = self else { return };
        headers.insert(API_CLIENT, exchange.api_client.clone());
        if let Some(basic) = exchange.client.and_then(ClientAuthentication::basic) {
            headers.insert(header::AUTHORIZATION, basic);
        }
    }

    /// Returns what to do if the endpoint refuses the grant with this code.
    pub(super) fn advice(self, code: &str) -> Option<&'static str> {
        match (self, code) {
            (Self::RefreshToken { .. }, "invalid_grant") => {
                Some("the login has ended, so run `gcloud auth application-default login` again")
            }
            _ => None,
        }
    }

    /// Returns what errors must not contain.
    pub(super) fn secrets(self) -> [&'a str; 2] {
        match self {
            Self::JwtBearer { assertion } => [assertion, ""],
            Self::RefreshToken { client_secret, refresh_token, .. } => [client_secret, refresh_token],
            Self::TokenExchange(exchange) => {
                [exchange.subject_token, exchange.client.map_or("", |client| client.secret)]
            }
        }
    }
}

/// Appends `value`, encoded as `application/x-www-form-urlencoded`.
fn encode(value: &str, form: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => form.push(byte as char),
            b' ' => form.push('+'),
            _ => {
                form.push('%');
                form.push(HEX[usize::from(byte >> 4)] as char);
                form.push(HEX[usize::from(byte & 15)] as char);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_written_as_a_form() {
        let form = Grant::JwtBearer { assertion: "a.b-c_d.e" }.form();
        assert_eq!(
            form,
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b-c_d.e"
        );
        let grant = Grant::RefreshToken {
            client_id: "i d",
            client_secret: "s&c=r",
            refresh_token: "1//0gé",
            scope: None,
        };
        assert_eq!(
            grant.form(),
            "grant_type=refresh_token&client_id=i+d&client_secret=s%26c%3Dr&refresh_token=1%2F%2F0g%C3%A9"
        );
    }
}
