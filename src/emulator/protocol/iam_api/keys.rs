//! The keys of service accounts.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tonic::Code;

use super::call::Call;
use super::empty;
use crate::emulator::clock::unix;
use crate::emulator::error::{ApiError, shorten};
use crate::emulator::iam::account::Account;
use crate::emulator::iam::key::SigningKey;
use crate::emulator::iam::key_file;
use crate::emulator::iam::key_ring::blocking;
use crate::emulator::protocol::key_sets::certificate;

/// When a key that doesn't expire expires.
const NEVER: &str = "9999-12-31T23:59:59Z";

/// The only algorithm and the only format of private keys that the emulator has.
const ALGORITHM: &str = "KEY_ALG_RSA_2048";
const KEY_FILE: &str = "TYPE_GOOGLE_CREDENTIALS_FILE";

/// Who made a key: the account's owner, or Google.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    User,
    System,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::User => "USER_MANAGED",
            Self::System => "SYSTEM_MANAGED",
        }
    }
}

pub(super) fn list(call: Call<'_>) -> Result<Value, ApiError> {
    let account = call.account()?;
    let wanted: Vec<_> = call.query.all("keyTypes").collect();
    let known =
        |name: &&&str| [Kind::User.name(), Kind::System.name(), "KEY_TYPE_UNSPECIFIED"].contains(*name);
    if let Some(other) = wanted.iter().find(|name| !known(name)) {
        let problem = format!("Invalid value at 'key_types' (TYPE_ENUM), \"{}\"", shorten(other));
        return Err(ApiError::invalid_field("key_types", &problem));
    }
    call.fields.finish()?;
    let keys = keys(&account).filter(|(kind, _)| wanted.is_empty() || wanted.contains(&kind.name()));
    let keys: Vec<_> = keys.map(|(kind, key)| view(&account, kind, &key)).collect();
    Ok(if keys.is_empty() { empty() } else { json!({ "keys": keys }) })
}

pub(super) fn get(call: Call<'_>) -> Result<Value, ApiError> {
    let account = call.account()?;
    let id = &call.target.item;
    let unknown = || ApiError::unknown_key(id);
    let (kind, key) = keys(&account).find(|(_, key)| key.id() == id).ok_or_else(unknown)?;
    let mut view = view(&account, kind, &key);
    let public = match call.query.text("publicKeyType") {
        None | Some("TYPE_NONE") => None,
        Some("TYPE_X509_PEM_FILE") => Some(certificate::of_key(&key, account.email())?),
        Some("TYPE_RAW_PUBLIC_KEY") => Some(key.public_pem()?),
        Some(other) => {
            let problem = format!("Invalid value at 'public_key_type' (TYPE_ENUM), \"{}\"", shorten(other));
            return Err(ApiError::invalid_field("public_key_type", &problem));
        }
    };
    if let Some(pem) = public {
        view["publicKeyData"] = BASE64_STANDARD.encode(pem).into();
    }
    call.fields.finish()?;
    Ok(view)
}

/// Makes a key. Its private half is in this reply only.
pub(super) async fn create(mut call: Call<'_>) -> Result<Value, ApiError> {
    let account = call.account()?;
    for (field, only) in [("privateKeyType", KEY_FILE), ("keyAlgorithm", ALGORITHM)] {
        let value = call.fields.text(field)?;
        if !value.is_empty() && value != only {
            let problem = format!("The emulator makes keys with {only}, got {}.", shorten(&value));
            return Err(ApiError::invalid_field(field, &problem));
        }
    }
    call.fields.finish()?;
    let now = call.identities.clock.now();
    let ring = Arc::clone(account.keys());
    let key = blocking(move || ring.add_of_user(now)).await?;
    let full = || ApiError::new(Code::FailedPrecondition, "Maximum number of keys on account reached.");
    let key = key.ok_or_else(full)?;
    let file = key_file::of_key(&call.state.endpoint, &account, &key)?;
    let mut view = view(&account, Kind::User, &key);
    view["privateKeyType"] = KEY_FILE.into();
    view["privateKeyData"] = BASE64_STANDARD.encode(format!("{file:#}\n")).into();
    Ok(view)
}

pub(super) fn delete(call: Call<'_>) -> Result<Value, ApiError> {
    let account = call.account()?;
    call.fields.finish()?;
    let id = &call.target.item;
    if account.keys().of_system().iter().any(|key| key.id() == id) {
        let problem = "A key that Google manages can't be deleted.";
        return Err(ApiError::new(Code::FailedPrecondition, problem));
    }
    if account.keys().remove_of_user(id) { Ok(empty()) } else { Err(ApiError::unknown_key(id)) }
}

fn keys(account: &Account) -> impl Iterator<Item = (Kind, Arc<SigningKey>)> {
    let of_user = account.keys().of_user().into_iter().map(|key| (Kind::User, key));
    of_user.chain(account.keys().of_system().into_iter().map(|key| (Kind::System, key)))
}

fn view(account: &Account, kind: Kind, key: &SigningKey) -> Value {
    let (project, email) = (account.project(), account.email());
    json!({
        "name": format!("projects/{project}/serviceAccounts/{email}/keys/{}", key.id()),
        "validAfterTime": timestamp(key.created()),
        "validBeforeTime": NEVER,
        "keyAlgorithm": ALGORITHM,
        "keyOrigin": "GOOGLE_PROVIDED",
        "keyType": kind.name(),
    })
}

fn timestamp(instant: SystemTime) -> String {
    prost_types::Timestamp { seconds: unix(instant), nanos: 0 }.to_string()
}
