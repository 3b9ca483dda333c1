//! `iamcreds verify`: verifies an ID token, a JWT that an account signed, or a signature of a file.

mod claims;
mod keys;
mod peek;
mod refusal;
mod verdict;

use std::path::{Path, PathBuf};

use gcp_iam_credentials::verify::IdTokenRules;
use serde_json::{Map, Value};

use self::claims::{ClaimRules, check};
use self::keys::{Keys, KeysArguments};
use self::peek::Peek;
use self::refusal::{NotAccepted, refusal};
use self::verdict::Verdict;
use crate::failure::Failure;
use crate::output::{Format, print};
use crate::terminal::waiting;
use crate::{input, interrupt};

const EXAMPLES: &str = "\
Examples:
  iamcreds id-token --target T --audience https://a.run.app | iamcreds verify - --audience https://a.run.app
  iamcreds sign-jwt --target T claims.json | iamcreds verify - --service-account T
  iamcreds sign-blob --target T FILE --format json > signature.json
  iamcreds verify --blob FILE --signature signature.json --service-account T

Exit codes: 0 verified; 2 it isn't a JWT, or an argument is invalid; 4 not accepted; 5 the keys can't be fetched.";

/// Verifies an ID token, a JWT that a service account signed, or a signature of a file.
///
/// Prints the claims, who signed, and how long the token still lives, but never the token. Without --service-account and
/// --keys, the token must be an ID token of Google.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The token, or - for standard input; other users of the machine can read arguments, so prefer -
    #[arg(value_name = "TOKEN|-", required_unless_present = "blob", conflicts_with = "blob")]
    token: Option<String>,
    /// The audience that the token must have: without it, any audience is accepted, and printed
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,
    /// The issuer that the token must have; default for ID tokens: Google
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// The e-mail address that the token must have, verified by its issuer
    #[arg(long, value_name = "EMAIL")]
    email: Option<String>,
    #[command(flatten)]
    keys: KeysArguments,
    /// The file that was signed with sign-blob
    #[arg(long, value_name = "FILE", requires = "signature", conflicts_with_all = ["audience", "issuer", "email"])]
    blob: Option<PathBuf>,
    /// Its signature: what sign-blob --format json prints
    #[arg(long, value_name = "FILE|-", requires = "blob")]
    signature: Option<PathBuf>,
    /// How the result is shown
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let keys = arguments.keys.choose()?;
    let verdict = match (&arguments.blob, &arguments.signature) {
        (Some(blob), Some(signature)) => verify_blob(&keys, blob, signature)?,
        _ => verify_token(arguments, &keys)?,
    };
    print(verdict.show(arguments.format).as_bytes())
}

fn verify_token(arguments: &Arguments, keys: &Keys) -> Result<Verdict, Failure> {
    let token = match arguments.token.as_deref() {
        Some("-") | None => input::read_text(Path::new("-"))?,
        Some(token) => token.to_owned(),
    };
    let token = bare(&token);
    let peek = Peek::into(token)?;
    let work = async { claims(arguments, keys, token).await.map_err(|reason| refusal(reason, keys, &peek)) };
    let claims = interrupt::run(waiting("waiting for the keys", work))?;
    Ok(Verdict::of_token(keys, peek.key_id.clone(), claims, arguments.audience.is_some()))
}

/// Returns the claims of a token that is accepted.
async fn claims(arguments: &Arguments, keys: &Keys, token: &str) -> Result<Map<String, Value>, NotAccepted> {
    let claims = keys.verify_jwt(token).await?;
    if keys.are_of_an_account() {
        let rules = ClaimRules {
            audience: arguments.audience.as_deref(),
            issuer: arguments.issuer.as_deref(),
            email: arguments.email.as_deref(),
        };
        check(&claims, &rules)?;
        return Ok(claims);
    }
    // If the person doesn't say for whom it must be, any audience is right, and all the rest is checked.
    let audience = arguments.audience.clone().or_else(|| own_audience(&claims)).unwrap_or_default();
    let mut rules = IdTokenRules::for_audience(audience);
    if let Some(issuer) = &arguments.issuer {
        rules = rules.issuers([issuer]);
    }
    if let Some(email) = &arguments.email {
        rules = rules.email(email);
    }
    Ok(keys.verify_id_token(token, &rules).await?.claims()?)
}

fn own_audience(claims: &Map<String, Value>) -> Option<String> {
    let audience = match claims.get("aud")? {
        Value::Array(audiences) => audiences.first()?,
        audience => audience,
    };
    audience.as_str().map(str::to_owned)
}

/// Returns the token in a line of a header, such as `access-token --format header` prints.
fn bare(text: &str) -> &str {
    let text = text.trim();
    let text = text.strip_prefix("Authorization:").unwrap_or(text).trim_start();
    text.strip_prefix("Bearer ").unwrap_or(text).trim_start()
}

fn verify_blob(keys: &Keys, blob: &Path, signature: &Path) -> Result<Verdict, Failure> {
    let payload = input::read(blob)?;
    let signed = keys::signed_blob(&input::read_text(signature)?, &input::name(signature))?;
    let peek = Peek { key_id: signed.key_id().to_owned(), issuer: None };
    let work = async {
        let outcome = keys.verify_blob(&signed, &payload).await;
        outcome.map_err(|error| refusal(error.into(), keys, &peek))
    };
    interrupt::run(waiting("waiting for the keys", work))?;
    Ok(Verdict::of_blob(keys, peek.key_id.clone(), input::name(blob)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_may_be_in_a_header_line() {
        for text in ["a.b.c", " a.b.c\n", "Bearer a.b.c", "Authorization: Bearer a.b.c\n"] {
            assert_eq!(bare(text), "a.b.c");
        }
    }

    #[test]
    fn the_own_audience_is_the_first_one() {
        let audience = |value: Value| own_audience(value.as_object().unwrap());
        assert_eq!(audience(json!({"aud": "a"})).as_deref(), Some("a"));
        assert_eq!(audience(json!({"aud": ["b", "a"]})).as_deref(), Some("b"));
        assert_eq!(audience(json!({"aud": 7})), None);
        assert_eq!(audience(json!({})), None);
    }
}
