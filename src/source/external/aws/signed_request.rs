//! A request that is signed with version 4 of AWS's signatures, as a subject token.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::{AwsCredentials, Region};
use crate::Error;
use crate::source::external::SubjectToken;

/// AWS sends nothing but the query.
const METHOD: &str = "POST";

/// The header with the provider that may use the request. It is signed, so that nobody can use the
/// request for another provider.
const TARGET_RESOURCE: &str = "x-goog-cloud-target-resource";

/// Signs a request to `url`, and writes it as Google's token service reads it.
pub(super) fn signed_request(
    url: &str,
    region: &Region,
    credentials: AwsCredentials,
    audience: &str,
    now: SystemTime,
) -> Result<SubjectToken, Error> {
    let failed = || Error::credentials("no subject token: the request to AWS can't be signed", false);
    let uri: Uri = url.parse().map_err(|_| failed())?;
    let mut headers = vec![
        ("host".to_owned(), uri.host().unwrap_or_default().to_owned()),
        (TARGET_RESOURCE.to_owned(), audience.to_owned()),
    ];
    let signature = signature(url, &headers, region, credentials, now).ok_or_else(failed)?;
    headers.extend(signature);
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| json!({ "key": name, "value": value })).collect();
    let request = json!({ "url": url, "method": METHOD, "headers": headers }).to_string();
    let encoded = utf8_percent_encode(&request, NON_ALPHANUMERIC).to_string();
    SubjectToken::new(&encoded).ok_or_else(failed)
}

/// Returns the headers that sign the request. An error of the signing library may contain a header,
/// so it is dropped.
fn signature(
    url: &str,
    headers: &[(String, String)],
    region: &Region,
    credentials: AwsCredentials,
    now: SystemTime,
) -> Option<Vec<(String, String)>> {
    let AwsCredentials { access_key_id, secret_access_key, session_token } = credentials;
    let identity =
        Credentials::new(access_key_id, secret_access_key, session_token, None, "external account");
    let identity = identity.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region.name())
        .name("sts")
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .ok()?;
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let request = SignableRequest::new(METHOD, url, headers, SignableBody::Bytes(b"")).ok()?;
    let (instructions, _signature) = sign(request, &parameters.into()).ok()?.into_parts();
    let (headers, _query) = instructions.into_parts();
    Some(headers.iter().map(|header| (header.name().to_owned(), header.value().to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use percent_encoding::percent_decode_str;
    use serde_json::Value;

    use super::*;

    fn request(audience: &str) -> Value {
        let credentials = AwsCredentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "hidden+/=".to_owned(),
            session_token: Some("session+/=".to_owned()),
        };
        let url = "https://sts.us-east-2.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15";
        let region = Region::of_zone("us-east-2b").unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let token = signed_request(url, &region, credentials, audience, now).unwrap();
        serde_json::from_str(&percent_decode_str(token.secret()).decode_utf8().unwrap()).unwrap()
    }

    fn header<'a>(request: &'a Value, name: &str) -> &'a str {
        let headers = request["headers"].as_array().unwrap();
        let found: Vec<_> = headers.iter().filter(|header| header["key"] == name).collect();
        assert_eq!(found.len(), 1, "{name}: {request}");
        found[0]["value"].as_str().unwrap()
    }

    /// conf: F4
    #[test]
    fn the_provider_and_the_session_token_are_signed() {
        let request = request("//iam.googleapis.com/projects/1/p");
        assert_eq!(request["method"], "POST");
        assert_eq!(header(&request, "host"), "sts.us-east-2.amazonaws.com");
        assert_eq!(header(&request, "x-amz-date"), "20231114T221320Z");
        assert_eq!(header(&request, "x-amz-security-token"), "session+/=");
        assert_eq!(header(&request, TARGET_RESOURCE), "//iam.googleapis.com/projects/1/p");
        let authorization = header(&request, "authorization");
        assert!(
            authorization.starts_with(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20231114/us-east-2/sts/aws4_request, \
                 SignedHeaders=host;x-amz-date;x-amz-security-token;x-goog-cloud-target-resource, Signature="
            ),
            "{authorization}"
        );
        assert!(!request.to_string().contains("hidden"));
    }

    /// conf: F4
    #[test]
    fn a_request_for_another_provider_has_another_signature() {
        let signature = |audience| header(&request(audience), "authorization").to_owned();
        assert_eq!(signature("a"), signature("a"));
        assert_ne!(signature("a"), signature("b"));
    }

    #[test]
    fn an_audience_that_no_header_can_carry_is_an_error_and_no_panic() {
        let region = Region::of_zone("us-east-2b").unwrap();
        let credentials = || AwsCredentials::in_variables(|name| Some(format!("{name}\n"))).unwrap();
        for url in ["", "https://sts.amazonaws.com?Action=GetCallerIdentity", "https://[::1"] {
            for audience in ["", "a\nb", "\u{1b}", "ä"] {
                let _ = signed_request(url, &region, credentials(), audience, SystemTime::UNIX_EPOCH);
            }
        }
    }
}
