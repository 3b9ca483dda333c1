//! The URL at which AWS says who signed a request.

use http::Uri;

use super::Region;
use crate::Error;
use crate::query::pairs;

const REGION: &str = "{region}";

/// The URL of the signed request, which names the region as `{region}`.
#[derive(Debug)]
pub(crate) struct VerificationUrl(Box<str>);

impl VerificationUrl {
    /// Checks a URL from a credential file. Only AWS's own hosts get a signed request, and only one
    /// that asks who signed it. Errors name `field`.
    pub(crate) fn new(url: &str, field: &'static str) -> Result<Self, Error> {
        let invalid = |expectation| Error::invalid(field, expectation);
        let uri: Uri = url.replace(REGION, "region").parse().map_err(|_| invalid("must be a URL"))?;
        if uri.scheme_str() != Some("https") {
            return Err(invalid("must start with https://"));
        }
        if !uri.authority().is_some_and(|authority| is_sts_of_aws(authority.as_str())) {
            return Err(invalid("must have the host sts.{region}.amazonaws.com or sts.amazonaws.com"));
        }
        let query: Vec<_> = pairs(uri.query().unwrap_or_default()).collect();
        let action = |(name, value): &(String, String)| name == "Action" && value == "GetCallerIdentity";
        if uri.path() != "/"
            || query.iter().filter(|(name, _)| name == "Action").count() != 1
            || !query.iter().any(action)
        {
            return Err(invalid(
                "must have the query Action=GetCallerIdentity&Version=2011-06-15, and no path",
            ));
        }
        Ok(Self(url.into()))
    }

    pub(super) fn in_region(&self, region: &Region) -> String {
        self.0.replace(REGION, region.name())
    }
}

/// Whether this is `sts.amazonaws.com`, or `sts.`, one label and `.amazonaws.com`.
fn is_sts_of_aws(authority: &str) -> bool {
    let Some(region) = authority.strip_prefix("sts.").and_then(|rest| rest.strip_suffix("amazonaws.com"))
    else {
        return false;
    };
    match region.strip_suffix('.') {
        None => region.is_empty(),
        Some(label) => {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: &str = "regional_cred_verification_url";
    const QUERY: &str = "?Action=GetCallerIdentity&Version=2011-06-15";

    /// conf: F4, F11
    #[test]
    fn signed_requests_go_only_to_aws_and_only_ask_who_signed_them() {
        for good in [
            "https://sts.{region}.amazonaws.com",
            "https://sts.amazonaws.com",
            "https://sts.us-east-2.amazonaws.com/",
        ] {
            let url = VerificationUrl::new(&format!("{good}{QUERY}"), FIELD).unwrap();
            let region = Region::of_zone("eu-west-1a").unwrap();
            assert!(url.in_region(&region).starts_with("https://sts."), "{good}");
            assert!(!url.in_region(&region).contains(REGION), "{good}");
        }
        for bad in [
            "",
            "https://",
            "http://sts.{region}.amazonaws.com",
            "https://sts.{region}.evil.example",
            "https://{region}",
            "https://{region}.amazonaws.com",
            "https://sts.a.b.amazonaws.com",
            "https://sts..amazonaws.com",
            "https://stsamazonaws.com",
            "https://sts.evilamazonaws.com",
            "https://sts.us-east-2.amazonaws.com.evil.example",
            "https://sts.us-east-2.amazonaws.com@evil.example",
            "https://me@sts.us-east-2.amazonaws.com",
            "https://sts.us-east-2.amazonaws.com:8443",
            "https://sts.us-east-2.amazonaws.com/path",
        ] {
            let error = VerificationUrl::new(&format!("{bad}{QUERY}"), FIELD).unwrap_err();
            assert_eq!(error.field(), Some(FIELD), "{bad}");
        }
        for query in [
            "",
            "?Action=AssumeRole",
            "?Action=GetCallerIdentity&Action=AssumeRole",
            "?action=GetCallerIdentity",
        ] {
            let url = format!("https://sts.amazonaws.com{query}");
            assert!(VerificationUrl::new(&url, FIELD).is_err(), "{query}");
        }
    }
}
