//! What is exchanged for a token.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};

use crate::headers::API_CLIENT;
use crate::sts_protocol::{ACCESS_TOKEN_TYPE, AWS_TYPE, TOKEN_EXCHANGE};

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
    /// The sign-in of a person with a workforce pool.
    #[cfg_attr(not(feature = "credential-files"), allow(dead_code))]
    SignIn { client: ClientAuthentication<'a>, refresh_token: &'a str },
    /// A token that the Security Token Service exchanges for another one.
    #[cfg_attr(not(feature = "credential-files"), allow(dead_code))]
    TokenExchange(TokenExchange<'a>),
}

/// A token, and what Google's Security Token Service needs to know to exchange it. Fields that are empty
/// aren't sent.
#[derive(Clone, Copy, Default)]
pub(crate) struct TokenExchange<'a> {
    /// The provider that knows the identity.
    pub(crate) audience: &'a str,
    /// The scopes, separated by spaces.
    pub(crate) scope: &'a str,
    pub(crate) subject_token: &'a str,
    pub(crate) subject_token_type: &'a str,
    /// A JSON object.
    pub(crate) options: &'a str,
    /// The program's own OAuth client, which authenticates by HTTP Basic.
    pub(crate) client: Option<ClientAuthentication<'a>>,
    /// The value of the metrics header.
    pub(crate) api_client: Option<&'a HeaderValue>,
}

/// An OAuth client's id, without a colon, and its secret, which may be empty.
#[derive(Clone, Copy)]
pub(crate) struct ClientAuthentication<'a> {
    pub(crate) id: &'a str,
    pub(crate) secret: &'a str,
}

impl<'a> TokenExchange<'a> {
    fn fields(self) -> [(&'static str, &'a str); 5] {
        [
            ("audience", self.audience),
            ("scope", self.scope),
            ("subject_token", self.subject_token),
            ("subject_token_type", self.subject_token_type),
            ("options", self.options),
        ]
    }

    /// Returns the secrets in the subject token. A signed request of AWS also contains names, which a
    /// refusal may show.
    fn secrets_of_subject_token(self) -> Vec<&'a str> {
        const QUOTE: &str = "%22";
        let token = self.subject_token;
        let mut secrets = Vec::new();
        if self.subject_token_type == AWS_TYPE {
            let texts: Vec<&str> = token.split(QUOTE).collect();
            secrets.extend(texts.iter().filter_map(|text| Some(text.split_once("Signature%3D")?.1)));
            // Between the texts of the key and its value are `,`, `value` and `:`.
            let is_session_token = |text: &&str| text.replace("%2D", "-") == "x-amz-security-token";
            secrets.extend(texts.iter().position(is_session_token).and_then(|key| texts.get(key + 4)));
        }
        if secrets.is_empty() { vec![token] } else { secrets }
    }
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

    /// An exchange whose secrets contain `hidden`.
    pub(super) const HIDDEN_EXCHANGE: Self = Self::TokenExchange(TokenExchange {
        audience: "",
        scope: "",
        subject_token: "ya29.hidden-subject-token",
        subject_token_type: ACCESS_TOKEN_TYPE,
        options: "",
        client: Some(ClientAuthentication { id: "id", secret: "hidden-client-secret" }),
        api_client: None,
    });
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
            Self::SignIn { refresh_token, .. } => {
                field("grant_type", "refresh_token");
                field("refresh_token", refresh_token);
            }
            Self::TokenExchange(exchange) => {
                field("grant_type", TOKEN_EXCHANGE);
                field("requested_token_type", ACCESS_TOKEN_TYPE);
                let fields = exchange.fields().into_iter().filter(|(_, value)| !value.is_empty());
                fields.for_each(|(name, value)| field(name, value));
            }
        }
        form
    }

    /// Adds the headers that only this grant has.
    pub(super) fn set_headers(self, headers: &mut HeaderMap) {
        let (client, api_client) = match self {
            Self::JwtBearer { .. } | Self::RefreshToken { .. } => (None, None),
            Self::SignIn { client, .. } => (Some(client), None),
            Self::TokenExchange(exchange) => (exchange.client, exchange.api_client),
        };
        if let Some(versions) = api_client {
            headers.insert(API_CLIENT, versions.clone());
        }
        if let Some(basic) = client.and_then(ClientAuthentication::basic) {
            headers.insert(header::AUTHORIZATION, basic);
        }
    }

    /// Returns whether the reply may be without `expires_in`: a token that is made from an access token
    /// ends when that one ends.
    pub(super) fn may_lack_lifetime(self) -> bool {
        matches!(self, Self::TokenExchange(exchange) if exchange.subject_token_type == ACCESS_TOKEN_TYPE)
    }

    /// Returns whether this code means that there were too many requests. In other grants it is about a
    /// person's consent.
    pub(super) fn is_over_quota(self, code: &str) -> bool {
        matches!((self, code), (Self::TokenExchange(_), "access_denied" | "quota_exceeded"))
    }

    /// Returns what to do if the endpoint refuses the grant with this code.
    pub(super) fn advice(self, code: &str) -> Option<&'static str> {
        match (self, code) {
            (Self::RefreshToken { .. }, "invalid_grant") => {
                Some("the login has ended, so run `gcloud auth application-default login` again")
            }
            (Self::SignIn { .. }, "invalid_grant") => Some(
                "the sign-in has ended, so run `gcloud auth application-default login \
                 --login-config=FILE` again",
            ),
            _ => None,
        }
    }

    /// Returns what errors must not contain.
    pub(super) fn secrets(self) -> Vec<&'a str> {
        match self {
            Self::JwtBearer { assertion } => vec![assertion],
            Self::RefreshToken { client_secret, refresh_token, .. } => vec![client_secret, refresh_token],
            Self::SignIn { client, refresh_token } => vec![client.secret, refresh_token],
            Self::TokenExchange(exchange) => {
                let mut secrets = exchange.secrets_of_subject_token();
                secrets.extend(exchange.client.map(|client| client.secret));
                secrets
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

    #[test]
    fn a_sign_in_authenticates_its_client_in_a_header() {
        // The bytes of this client make `+`, `/` and `=` in base64.
        let client = ClientAuthentication { id: "~~?~~>", secret: "" };
        let grant = Grant::SignIn { client, refresh_token: "1//0g" };
        assert_eq!(grant.form(), "grant_type=refresh_token&refresh_token=1%2F%2F0g");
        let mut headers = HeaderMap::new();
        grant.set_headers(&mut headers);
        assert_eq!(headers[header::AUTHORIZATION], "Basic fn4/fn4+Og==");
        assert!(headers[header::AUTHORIZATION].is_sensitive());
    }

    /// conf: F6
    #[test]
    fn an_exchange_has_only_the_fields_that_are_not_empty() {
        let exchange = TokenExchange {
            audience: "//iam/p",
            scope: "a b",
            subject_token: "t",
            subject_token_type: "urn:x",
            options: r#"{"userProject":"p"}"#,
            ..TokenExchange::default()
        };
        assert_eq!(
            Grant::TokenExchange(exchange).form(),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
             &requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token\
             &audience=%2F%2Fiam%2Fp&scope=a+b&subject_token=t&subject_token_type=urn%3Ax\
             &options=%7B%22userProject%22%3A%22p%22%7D"
        );
        let least = TokenExchange { subject_token: "t", ..TokenExchange::default() };
        let form = Grant::TokenExchange(least).form();
        assert!(form.ends_with("access_token&subject_token=t"), "{form}");
        let mut headers = HeaderMap::new();
        Grant::TokenExchange(least).set_headers(&mut headers);
        assert!(headers.is_empty(), "{headers:?}");
    }
}
