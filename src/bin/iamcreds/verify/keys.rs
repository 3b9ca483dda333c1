//! The keys that verify: Google's, an account's, or those that a person names.

use std::path::Path;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use gcp_iam_credentials::call::SignedBlob;
use gcp_iam_credentials::verify::{FetchedKeys, IdToken, IdTokenRules, PublicKeys};
use gcp_iam_credentials::{Error, ServiceAccountName};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::input;

/// The variable with the host of an emulator, which then has the keys.
const EMULATOR_VARIABLE: &str = "IAM_CREDENTIALS_EMULATOR_HOST";

/// The host of all published keys of Google.
const GOOGLE: &str = "https://www.googleapis.com";

/// Whose keys verify.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Keys")]
pub(crate) struct KeysArguments {
    /// The account whose keys signed: for sign-jwt, self-signed-jwt and sign-blob
    #[arg(long, value_name = "ACCOUNT", conflicts_with = "keys")]
    service_account: Option<String>,
    /// A file with a JSON Web Key Set, or the URL of one
    #[arg(long, value_name = "FILE|URL")]
    keys: Option<String>,
}

/// The keys, and whose they are.
pub(super) struct Keys {
    source: Source,
    /// The account whose keys they are.
    account: Option<String>,
    /// Whether they are those of Google's ID tokens.
    pub(super) are_googles: bool,
}

enum Source {
    Fetched(FetchedKeys),
    Given(PublicKeys, String),
}

impl KeysArguments {
    /// Returns the keys. Sends nothing.
    pub(super) fn choose(&self) -> Result<Keys, Failure> {
        if let Some(keys) = &self.keys {
            let source = match keys.contains("://") {
                true => Source::Fetched(fetched(keys)?),
                false => given(Path::new(keys))?,
            };
            return Ok(Keys { source, account: None, are_googles: false });
        }
        let account = self.service_account.as_deref().map(account).transpose()?;
        let url = account.as_deref().map_or_else(|| PublicKeys::GOOGLE_URL.to_owned(), PublicKeys::url);
        let source = Source::Fetched(fetched(&at_emulator(url))?);
        Ok(Keys { source, are_googles: account.is_none(), account })
    }
}

fn account(text: &str) -> Result<String, Failure> {
    let name: Result<ServiceAccountName, _> = text.parse();
    let name = name.map_err(|error| Failure::usage(format!("--service-account: {error}")))?;
    Ok(name.account().to_owned())
}

fn fetched(url: &str) -> Result<FetchedKeys, Failure> {
    FetchedKeys::at(url).map_err(|error| Failure::usage(format!("--keys: {error}")))
}

fn given(path: &Path) -> Result<Source, Failure> {
    let name = input::name(path);
    let keys = PublicKeys::from_jwks(&input::read_text(path)?)
        .map_err(|error| Failure::usage(format!("--keys: {name}: {error}")))?;
    Ok(Source::Given(keys, name))
}

/// Returns the URL of the keys, which is one of the emulator if the variable names one.
fn at_emulator(url: String) -> String {
    let Some(host) = std::env::var(EMULATOR_VARIABLE).ok().filter(|host| !host.is_empty()) else {
        return url;
    };
    eprintln!("iamcreds: {EMULATOR_VARIABLE} is set: the keys are those of an emulator");
    let origin = if host.contains("://") { host } else { format!("http://{host}") };
    url.replacen(GOOGLE, origin.trim_end_matches('/'), 1)
}

impl Keys {
    /// Returns whose keys they are, for people.
    pub(super) fn owner(&self) -> String {
        match &self.account {
            Some(account) => account.clone(),
            None if self.are_googles => "Google".to_owned(),
            None => format!("a key of {}", self.place()),
        }
    }

    /// Returns the URL or the file of the keys.
    pub(super) fn place(&self) -> String {
        match &self.source {
            Source::Fetched(keys) => keys.url(),
            Source::Given(_, name) => name.clone(),
        }
    }

    pub(super) fn are_of_an_account(&self) -> bool {
        self.account.is_some()
    }

    pub(super) async fn verify_jwt(&self, jwt: &str) -> Result<Map<String, Value>, Error> {
        match &self.source {
            Source::Fetched(keys) => keys.verify_jwt(jwt).await,
            Source::Given(keys, _) => keys.verify_jwt(jwt),
        }
    }

    pub(super) async fn verify_id_token(&self, token: &str, rules: &IdTokenRules) -> Result<IdToken, Error> {
        match &self.source {
            Source::Fetched(keys) => keys.verify_id_token(token, rules).await,
            Source::Given(keys, _) => keys.verify_id_token(token, rules),
        }
    }

    pub(super) async fn verify_blob(&self, blob: &SignedBlob, payload: &[u8]) -> Result<(), Error> {
        match &self.source {
            Source::Fetched(keys) => keys.verify_blob(blob, payload).await,
            Source::Given(keys, _) => keys.verify_blob(blob, payload),
        }
    }
}

/// Reads what `sign-blob --format json` prints.
pub(super) fn signed_blob(json: &str, name: &str) -> Result<SignedBlob, Failure> {
    let value: Value = serde_json::from_str(json).unwrap_or_default();
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    let signature = text("signature").and_then(decoded);
    match (text("key_id"), signature) {
        (Some(key_id), Some(signature)) => Ok(SignedBlob::new(key_id, signature)),
        _ => {
            let what = format!("--signature: {name}: not what `sign-blob --format json` prints");
            Err(Failure::usage(what).fix_by("sign with `iamcreds sign-blob FILE --target T --format json`"))
        }
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).or_else(|_| BASE64_URL_SAFE_NO_PAD.decode(text)).ok()
}
