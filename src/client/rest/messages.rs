//! The four requests and their replies, as JSON and as messages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::{DecodeError, Message};
use serde_json::{Value, json};

use crate::proto::{
    GenerateAccessTokenRequest, GenerateAccessTokenResponse, GenerateIdTokenRequest, GenerateIdTokenResponse,
    SignBlobRequest, SignBlobResponse, SignJwtRequest, SignJwtResponse,
};

/// Turns a request into the name of the account, and the body.
type ToJson = fn(&[u8]) -> Result<(String, Value), DecodeError>;

/// One of the four methods.
pub(super) struct RestMethod {
    /// Its name in gRPC.
    name: &'static str,
    /// What follows the colon in its URL.
    pub(super) verb: &'static str,
    pub(super) to_json: ToJson,
    /// Turns the body of a reply into a message; `None` if a field is missing or malformed.
    pub(super) from_json: fn(&Value) -> Option<Vec<u8>>,
}

const METHODS: [RestMethod; 4] = [
    RestMethod {
        name: "GenerateAccessToken",
        verb: "generateAccessToken",
        to_json: |message| {
            let request = GenerateAccessTokenRequest::decode(message)?;
            let lifetime = request.lifetime.map(|lifetime| lifetime.to_string());
            let body = json!({
                "delegates": request.delegates, "scope": request.scope, "lifetime": lifetime,
            });
            Ok((request.name, body))
        },
        from_json: |reply| {
            let access_token = text(reply, "accessToken")?;
            let expire_time = Some(text(reply, "expireTime")?.parse().ok()?);
            Some(GenerateAccessTokenResponse { access_token, expire_time }.encode_to_vec())
        },
    },
    RestMethod {
        name: "GenerateIdToken",
        verb: "generateIdToken",
        to_json: |message| {
            let request = GenerateIdTokenRequest::decode(message)?;
            let body = json!({
                "delegates": request.delegates, "audience": request.audience,
                "includeEmail": request.include_email,
            });
            Ok((request.name, body))
        },
        from_json: |reply| Some(GenerateIdTokenResponse { token: text(reply, "token")? }.encode_to_vec()),
    },
    RestMethod {
        name: "SignBlob",
        verb: "signBlob",
        to_json: |message| {
            let request = SignBlobRequest::decode(message)?;
            let body = json!({"delegates": request.delegates, "payload": STANDARD.encode(request.payload)});
            Ok((request.name, body))
        },
        from_json: |reply| {
            let signed_blob = STANDARD.decode(text(reply, "signedBlob")?).ok()?;
            Some(SignBlobResponse { key_id: text(reply, "keyId")?, signed_blob }.encode_to_vec())
        },
    },
    RestMethod {
        name: "SignJwt",
        verb: "signJwt",
        to_json: |message| {
            let request = SignJwtRequest::decode(message)?;
            let body = json!({"delegates": request.delegates, "payload": request.payload});
            Ok((request.name, body))
        },
        from_json: |reply| {
            let signed_jwt = text(reply, "signedJwt")?;
            Some(SignJwtResponse { key_id: text(reply, "keyId")?, signed_jwt }.encode_to_vec())
        },
    },
];

impl RestMethod {
    /// Returns the method with this name in gRPC.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.name == name)
    }
}

fn text(reply: &Value, field: &str) -> Option<String> {
    Some(reply.get(field)?.as_str()?.to_owned())
}
