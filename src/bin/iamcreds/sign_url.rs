//! `iamcreds sign-url`: signs a URL of Cloud Storage as the target.

use std::time::Duration;

use gcp_iam_credentials::Error;
use gcp_iam_credentials::signed_url::{SignedUrl, SignedUrlRequest};
use http::Method;
use serde_json::{Value, json};

use crate::chain::ChainArguments;
use crate::duration::duration;
use crate::failure::{Failure, argument_of};
use crate::interrupt;
use crate::output::{Format, OutputArguments, json_text, rfc3339};
use crate::source::SourceArguments;
use crate::terminal::waiting;

const EXAMPLES: &str = "\
Examples:
  iamcreds sign-url gs://my-bucket/report.pdf --target T --lifetime 10m
  iamcreds sign-url gs://my-bucket/picture.png --target T --method PUT --header 'content-type: image/png'
  iamcreds sign-url gs://my-bucket --target T --query prefix=reports/";

/// Signs a URL with which anyone can make one request to Cloud Storage as the target, until it expires.
///
/// Whoever has the URL can use it: keep it secret. Nothing is sent to Cloud Storage.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The object, or the bucket for a request to the bucket itself
    #[arg(value_name = "gs://BUCKET[/OBJECT]", value_parser = place)]
    place: Place,
    #[command(flatten)]
    chain: ChainArguments,
    /// The request's method: DELETE, GET, HEAD, POST or PUT
    #[arg(long, value_name = "METHOD", default_value = "GET", value_parser = method)]
    method: Method,
    /// How long the URL can be used: 30s, 10m, up to 168h (7 days)
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    lifetime: Duration,
    /// A header that the request must have, as curl takes it; repeat it for each
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// A query parameter, not percent-encoded; repeat it for each
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter)]
    query: Vec<(String, String)>,
    /// Put the bucket into the host name in place of the path
    #[arg(long)]
    virtual_hosted: bool,
    /// A host that serves this bucket only, such as a load balancer's
    #[arg(long, value_name = "HOST", conflicts_with_all = ["virtual_hosted", "storage_endpoint"])]
    bucket_bound_host: Option<String>,
    /// The URL of Cloud Storage, such as that of an emulator; default: Google's
    #[arg(long, value_name = "URL")]
    storage_endpoint: Option<String>,
    /// How the URL is shown
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    source: SourceArguments,
}

/// What the request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    bucket: String,
    object: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let signer = arguments.source.impersonation(&arguments.chain)?.signer()?;
    let call = signer.signed_url(arguments.request());
    let url = interrupt::run(async {
        waiting("waiting for the signature", call.into_future()).await.map_err(|error| failure(&error))
    })?;
    match arguments.format {
        Format::Text => arguments.output.write(format!("{}\n", url.as_str())),
        Format::Json => arguments.output.write(json_text(&object(&url, signer.email()))),
    }
}

impl Arguments {
    fn request(&self) -> SignedUrlRequest {
        let Place { bucket, object } = &self.place;
        let mut request = match object {
            Some(object) => SignedUrlRequest::new(self.method.clone(), bucket, object),
            None => SignedUrlRequest::of_bucket(self.method.clone(), bucket),
        };
        request = request.lifetime(self.lifetime);
        for (name, value) in &self.header {
            request = request.header(name, value);
        }
        for (name, value) in &self.query {
            request = request.query(name, value);
        }
        if self.virtual_hosted {
            request = request.virtual_hosted();
        }
        if let Some(host) = &self.bucket_bound_host {
            request = request.bucket_bound_host(host);
        }
        if let Some(endpoint) = &self.storage_endpoint {
            request = request.endpoint(endpoint);
        }
        request
    }
}

/// Returns what the JSON of a URL has. The last two fields help if Cloud Storage refuses the signature: its reply
/// contains what it expected.
fn object(url: &SignedUrl, signer: &str) -> Value {
    let value = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = url.headers().iter().map(|(name, it)| (name.as_str().to_owned(), value(it).into()));
    json!({
        "url": url.as_str(),
        "method": url.method().as_str(),
        "headers": Value::Object(headers.collect()),
        "expires_at": rfc3339(url.expires_at()),
        "signer": signer,
        "key_id": url.signature().key_id(),
        "string_to_sign": url.string_to_sign(),
        "canonical_request": url.canonical_request(),
    })
}

/// Makes the failure of an error about the request. Its endpoint isn't that of the call.
fn failure(error: &Error) -> Failure {
    Failure::naming(error, |field| match field {
        "endpoint" => Some("--storage-endpoint"),
        _ => argument_of(field),
    })
}

/// Reads `gs://BUCKET/OBJECT` or `gs://BUCKET`. With a slash and nothing behind it, a name was probably left out.
fn place(text: &str) -> Result<Place, String> {
    let (bucket, object) = match text.strip_prefix("gs://").map(|rest| rest.split_once('/').ok_or(rest)) {
        Some(Ok((bucket, object))) if !bucket.is_empty() && !object.is_empty() => (bucket, Some(object)),
        Some(Err(bucket)) if !bucket.is_empty() => (bucket, None),
        _ => return Err("expected gs://BUCKET/OBJECT, or gs://BUCKET for the bucket itself".to_owned()),
    };
    Ok(Place { bucket: bucket.to_owned(), object: object.map(str::to_owned) })
}

fn method(text: &str) -> Result<Method, String> {
    let method = text.to_ascii_uppercase().parse();
    method.map_err(|_| "expected DELETE, GET, HEAD, POST or PUT".to_owned())
}

fn header(text: &str) -> Result<(String, String), String> {
    pair(text, ':').ok_or_else(|| "expected a header such as 'content-type: image/png'".to_owned())
}

fn parameter(text: &str) -> Result<(String, String), String> {
    pair(text, '=').ok_or_else(|| "expected a parameter such as prefix=reports/".to_owned())
}

fn pair(text: &str, separator: char) -> Option<(String, String)> {
    text.split_once(separator).map(|(name, value)| (name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_object_or_a_bucket() {
        let read = |text| place(text).map(|place| (place.bucket, place.object));
        let object = |name: &str| Ok(("b".to_owned(), Some(name.to_owned())));
        assert_eq!(read("gs://b/a//c?x#y%20/"), object("a//c?x#y%20/"));
        assert_eq!(read("gs://b//"), object("/"));
        assert_eq!(read("gs://b"), Ok(("b".to_owned(), None)));
        for text in ["", "b/o", "gs://", "gs://b/", "gs:///o", "https://storage.googleapis.com/b/o"] {
            assert!(read(text).unwrap_err().contains("gs://BUCKET/OBJECT"), "{text}");
        }
    }

    #[test]
    fn a_header_ends_at_its_first_colon_and_a_parameter_at_its_first_equals_sign() {
        assert_eq!(header("a: b:c"), Ok(("a".to_owned(), " b:c".to_owned())));
        assert_eq!(parameter("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(parameter("acl="), Ok(("acl".to_owned(), String::new())));
        assert!(header("a").is_err() && parameter("a").is_err());
        assert_eq!(method("put"), Ok(Method::PUT));
        assert!(method("a b").is_err());
    }
}
