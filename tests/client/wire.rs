//! The compiled descriptors against the published contract.

use std::collections::BTreeMap;

use gcp_iam_credentials::proto::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{FieldDescriptorProto, FileDescriptorSet};

/// A message and its fields: name, number, type, and whether it repeats.
type Contract = [(&'static str, &'static [(&'static str, i32, Kind, Label)])];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Is(Type),
    Message(&'static str),
}

const STRING: Kind = Kind::Is(Type::String);
const BYTES: Kind = Kind::Is(Type::Bytes);
const BOOL: Kind = Kind::Is(Type::Bool);
const DURATION: Kind = Kind::Message(".google.protobuf.Duration");
const TIMESTAMP: Kind = Kind::Message(".google.protobuf.Timestamp");
use Label::{Optional, Repeated};

const MESSAGES: &Contract = &[
    (
        "GenerateAccessTokenRequest",
        &[
            ("name", 1, STRING, Optional),
            ("delegates", 2, STRING, Repeated),
            ("scope", 4, STRING, Repeated),
            ("lifetime", 7, DURATION, Optional),
        ],
    ),
    (
        "GenerateAccessTokenResponse",
        &[("access_token", 1, STRING, Optional), ("expire_time", 3, TIMESTAMP, Optional)],
    ),
    (
        "SignBlobRequest",
        &[("name", 1, STRING, Optional), ("delegates", 3, STRING, Repeated), ("payload", 5, BYTES, Optional)],
    ),
    ("SignBlobResponse", &[("key_id", 1, STRING, Optional), ("signed_blob", 4, BYTES, Optional)]),
    (
        "SignJwtRequest",
        &[
            ("name", 1, STRING, Optional),
            ("delegates", 3, STRING, Repeated),
            ("payload", 5, STRING, Optional),
        ],
    ),
    ("SignJwtResponse", &[("key_id", 1, STRING, Optional), ("signed_jwt", 2, STRING, Optional)]),
    (
        "GenerateIdTokenRequest",
        &[
            ("name", 1, STRING, Optional),
            ("delegates", 2, STRING, Repeated),
            ("audience", 3, STRING, Optional),
            ("include_email", 4, BOOL, Optional),
        ],
    ),
    ("GenerateIdTokenResponse", &[("token", 1, STRING, Optional)]),
];

const METHODS: [(&str, &str, &str); 4] = [
    ("GenerateAccessToken", "GenerateAccessTokenRequest", "GenerateAccessTokenResponse"),
    ("GenerateIdToken", "GenerateIdTokenRequest", "GenerateIdTokenResponse"),
    ("SignBlob", "SignBlobRequest", "SignBlobResponse"),
    ("SignJwt", "SignJwtRequest", "SignJwtResponse"),
];

#[allow(clippy::unwrap_used)]
fn files() -> BTreeMap<String, prost_types::FileDescriptorProto> {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    set.file.into_iter().map(|file| (file.name().to_owned(), file)).collect()
}

fn kind(field: &FieldDescriptorProto) -> Kind {
    match [DURATION, TIMESTAMP].into_iter().find(|kind| *kind == Kind::Message(leak(field.type_name()))) {
        Some(message) if field.r#type() == Type::Message => message,
        _ => Kind::Is(field.r#type()),
    }
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

#[test]
fn messages_have_the_published_names_numbers_types_and_labels() {
    let file = &files()["google/iam/credentials/v1/common.proto"];
    assert_eq!((file.package(), file.syntax()), ("google.iam.credentials.v1", "proto3"));
    assert_eq!(file.message_type.len(), MESSAGES.len());
    for (message, (name, fields)) in file.message_type.iter().zip(MESSAGES) {
        assert_eq!(message.name(), *name);
        let compiled: Vec<_> = message
            .field
            .iter()
            .map(|field| (leak(field.name()), field.number(), kind(field), field.label()))
            .collect();
        assert_eq!(compiled, *fields, "{name}");
        assert!(message.oneof_decl.is_empty() && message.nested_type.is_empty(), "{name}");
    }
}

#[test]
fn the_service_has_the_published_methods() {
    let file = &files()["google/iam/credentials/v1/iamcredentials.proto"];
    assert_eq!((file.package(), file.syntax()), ("google.iam.credentials.v1", "proto3"));
    let [service] = &file.service[..] else { panic!("more or less than one service") };
    assert_eq!(service.name(), "IAMCredentials");
    let compiled: Vec<_> = service
        .method
        .iter()
        .map(|method| (method.name(), method.input_type(), method.output_type()))
        .collect();
    let full = |name| format!(".google.iam.credentials.v1.{name}");
    let published = METHODS.map(|(name, input, output)| (name, full(input), full(output)));
    assert!(
        compiled.iter().copied().eq(published.iter().map(|(name, input, output)| (
            *name,
            input.as_str(),
            output.as_str()
        ))),
        "{compiled:?}"
    );
    assert!(service.method.iter().all(|method| !method.client_streaming() && !method.server_streaming()));
}
