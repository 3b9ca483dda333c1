//! The four requests and their replies in JSON.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::emulator::api::request::{ApiRequest, RequestOptions};
use crate::emulator::error::ApiError;
use crate::emulator::protocol::proto_json::Fields;
use crate::proto::{
    GenerateAccessTokenRequest, GenerateAccessTokenResponse, GenerateIdTokenRequest, GenerateIdTokenResponse,
    SignBlobRequest, SignBlobResponse, SignJwtRequest, SignJwtResponse,
};

/// A request of the API in JSON, and its reply.
pub(super) trait Message: ApiRequest {
    /// The fields of the reply.
    const REPLY_FIELDS: &[&str];

    /// Reads the message. `name` is the one in the path.
    fn read(name: String, fields: &mut Fields, options: &mut RequestOptions) -> Result<Self, ApiError>;

    /// Returns a reply as JSON.
    fn write(reply: Self::Reply) -> Value;
}

impl Message for GenerateAccessTokenRequest {
    const REPLY_FIELDS: &[&str] = &["accessToken", "expireTime"];

    fn read(name: String, fields: &mut Fields, _: &mut RequestOptions) -> Result<Self, ApiError> {
        Ok(Self {
            name: path_name(name, fields)?,
            delegates: fields.texts("delegates")?,
            scope: fields.texts("scope")?,
            lifetime: fields.duration("lifetime")?,
        })
    }

    fn write(reply: GenerateAccessTokenResponse) -> Value {
        let expires = reply.expire_time.map(|time| time.to_string());
        json!({"accessToken": reply.access_token, "expireTime": expires})
    }
}

impl Message for GenerateIdTokenRequest {
    const REPLY_FIELDS: &[&str] = &["token"];

    fn read(name: String, fields: &mut Fields, options: &mut RequestOptions) -> Result<Self, ApiError> {
        options.email_azp = fields.flag("useEmailAzp")?;
        options.organization = fields.flag("organizationNumberIncluded")?;
        Ok(Self {
            name: path_name(name, fields)?,
            delegates: fields.texts("delegates")?,
            audience: fields.text("audience")?,
            include_email: fields.flag("includeEmail")?,
        })
    }

    fn write(reply: GenerateIdTokenResponse) -> Value {
        json!({ "token": reply.token })
    }
}

impl Message for SignBlobRequest {
    const REPLY_FIELDS: &[&str] = &["keyId", "signedBlob"];

    fn read(name: String, fields: &mut Fields, _: &mut RequestOptions) -> Result<Self, ApiError> {
        Ok(Self {
            name: path_name(name, fields)?,
            delegates: fields.texts("delegates")?,
            payload: fields.bytes("payload")?,
        })
    }

    fn write(reply: SignBlobResponse) -> Value {
        json!({"keyId": reply.key_id, "signedBlob": BASE64_STANDARD.encode(reply.signed_blob)})
    }
}

impl Message for SignJwtRequest {
    const REPLY_FIELDS: &[&str] = &["keyId", "signedJwt"];

    fn read(name: String, fields: &mut Fields, _: &mut RequestOptions) -> Result<Self, ApiError> {
        Ok(Self {
            name: path_name(name, fields)?,
            delegates: fields.texts("delegates")?,
            payload: fields.text("payload")?,
        })
    }

    fn write(reply: SignJwtResponse) -> Value {
        json!({"keyId": reply.key_id, "signedJwt": reply.signed_jwt})
    }
}

/// Returns the name in the path. A name in the body is ignored.
fn path_name(name: String, fields: &mut Fields) -> Result<String, ApiError> {
    fields.text("name")?;
    Ok(name)
}
