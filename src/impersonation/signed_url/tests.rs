//! What is signed, at a given time, and what can be read back from it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, Uri};
use percent_encoding::percent_decode_str;
use proptest::collection::{hash_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::encoding::hex;
use super::request::SignedUrlRequest;
use super::unsigned_url::UnsignedUrl;
use crate::Error;
use crate::properties::{assert_is_plain, assert_names_a_field};

const ACCOUNT: &str = "signer@project.iam.gserviceaccount.com";
const UNIVERSE: &str = "googleapis.com";

/// 2026-12-31T23:59:59.999Z.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_798_761_599_999)
}

fn unsigned(request: SignedUrlRequest) -> Result<UnsignedUrl, Error> {
    UnsignedUrl::new(&request, ACCOUNT, UNIVERSE, now())
}

/// Returns the URL before its query, and the headers with the hash of the body as they are signed.
fn parts(request: SignedUrlRequest) -> (String, String) {
    let unsigned = unsigned(request).unwrap();
    let lines: Vec<&str> = unsigned.canonical_request.split('\n').skip(3).collect();
    (unsigned.base, lines.join("|"))
}

/// conf: U1
#[test]
fn the_canonical_request_is_that_of_the_specification() {
    let request = SignedUrlRequest::new(Method::PUT, "bucket", "a folder/ü+~.txt")
        .lifetime(Duration::from_millis(900_900))
        .header("X-Goog-Meta-B", "  two \t words ")
        .header("content-type", "text/plain")
        .header("x-goog-meta-b", "more")
        .query("z&", "1/2 ~")
        .query("A", "");
    let unsigned = unsigned(request).unwrap();
    let credential = "signer%40project.iam.gserviceaccount.com%2F20261231%2Fauto%2Fstorage%2Fgoog4_request";
    let signed = "content-type%3Bhost%3Bx-goog-meta-b";
    let query = format!(
        "A=&X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential={credential}&X-Goog-Date=20261231T235959Z\
         &X-Goog-Expires=900&X-Goog-SignedHeaders={signed}&z%26=1%2F2%20~"
    );
    let canonical = format!(
        "PUT\n/bucket/a%20folder/%C3%BC%2B~.txt\n{query}\ncontent-type:text/plain\n\
         host:storage.googleapis.com\nx-goog-meta-b:two words,more\n\ncontent-type;host;x-goog-meta-b\n\
         UNSIGNED-PAYLOAD"
    );
    assert_eq!(unsigned.canonical_request, canonical);
    let (start, hash) = unsigned.string_to_sign.rsplit_once('\n').unwrap();
    assert_eq!(start, "GOOG4-RSA-SHA256\n20261231T235959Z\n20261231/auto/storage/goog4_request");
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&canonical);
    assert_eq!(hash, hex(&digest));
    assert_eq!(unsigned.base, "https://storage.googleapis.com/bucket/a%20folder/%C3%BC%2B~.txt");
    assert_eq!(unsigned.query, query);
    assert_eq!(unsigned.expires_at, UNIX_EPOCH + Duration::from_secs(1_798_761_599 + 900));
    assert_eq!(unsigned.headers.len(), 2);
    assert!(unsigned.headers.values().all(|value| value.is_sensitive()));
}

/// conf: U1
#[test]
fn the_host_is_signed_in_the_form_in_which_clients_send_it() {
    let get = || SignedUrlRequest::get("my-bucket", "o");
    let bucket = || SignedUrlRequest::of_bucket(Method::GET, "my-bucket");
    for (request, base) in [
        (get(), "https://storage.googleapis.com/my-bucket/o"),
        (bucket(), "https://storage.googleapis.com/my-bucket"),
        (get().virtual_hosted(), "https://my-bucket.storage.googleapis.com/o"),
        (bucket().virtual_hosted(), "https://my-bucket.storage.googleapis.com/"),
        (get().endpoint("Storage.Example.com:443"), "https://storage.example.com/my-bucket/o"),
        (get().endpoint("https://example.com:80/"), "https://example.com:80/my-bucket/o"),
        (get().endpoint("http://localhost:80"), "http://localhost/my-bucket/o"),
        (get().endpoint("http://fake_gcs:4443"), "http://fake_gcs:4443/my-bucket/o"),
        (get().endpoint("http://127.0.0.1:04443"), "http://127.0.0.1:4443/my-bucket/o"),
        (get().endpoint("http://[0:0::1]:4443"), "http://[::1]:4443/my-bucket/o"),
        (get().endpoint("a.example").virtual_hosted(), "https://my-bucket.a.example/o"),
        (get().bucket_bound_host("cdn.example.com"), "https://cdn.example.com/o"),
        (bucket().bucket_bound_host("http://cdn.example.com"), "http://cdn.example.com/"),
    ] {
        let host = base.split('/').nth(2).unwrap();
        let shown = (base.to_owned(), format!("host:{host}||host|UNSIGNED-PAYLOAD"));
        assert_eq!(parts(request), shown);
    }
    let dotted = SignedUrlRequest::get("my.bucket", "o").virtual_hosted().endpoint("https://a.example");
    assert_eq!(parts(dotted).0, "https://my.bucket.a.example/o");
}

/// conf: U1
#[test]
fn the_hash_of_the_body_is_signed_if_the_request_names_it() {
    let request = SignedUrlRequest::put("b", "o").header("X-Goog-Content-SHA256", " abc ");
    let (_, signed) = parts(request);
    let expected = "host:storage.googleapis.com|x-goog-content-sha256:abc||host;x-goog-content-sha256|abc";
    assert_eq!(signed, expected);
}

/// conf: U1
#[test]
fn parameters_are_in_the_order_of_their_encoded_names() {
    let request =
        SignedUrlRequest::get("b", "o").query("a1", "").query("a", "2").query("é", "").query("a-b", "");
    let unsigned = unsigned(request).unwrap();
    let names: Vec<&str> = unsigned.query.split('&').map(|pair| pair.split_once('=').unwrap().0).collect();
    let own =
        ["X-Goog-Algorithm", "X-Goog-Credential", "X-Goog-Date", "X-Goog-Expires", "X-Goog-SignedHeaders"];
    assert_eq!(names, [&["%C3%A9"][..], &own, &["a", "a-b", "a1"]].concat());
}

/// conf: U2
#[test]
fn a_time_that_cannot_be_written_is_an_error() {
    let request = SignedUrlRequest::get("b", "o");
    let end = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    for start in [UNIX_EPOCH - Duration::from_nanos(1), end, end + Duration::from_secs(1 << 40)] {
        let error = unsigned(request.clone().accessible_at(start)).err().unwrap();
        assert_eq!(error.field(), Some("accessible_at"), "{start:?}");
    }
    let last = unsigned(request.clone().accessible_at(end - SignedUrlRequest::LIFETIME)).unwrap();
    assert_eq!(last.expires_at, end);
    let first = unsigned(request.accessible_at(UNIX_EPOCH)).unwrap();
    assert!(first.query.contains("X-Goog-Date=19700101T000000Z"), "{}", first.query);
}

/// A request in the values that it is made of.
#[derive(Clone, Debug)]
struct Input {
    method: Method,
    bucket: String,
    object: Option<String>,
    lifetime: u64,
    start: u64,
    headers: Vec<(String, String)>,
    query: Vec<(String, String)>,
    place: Place,
    account: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Place {
    Path(Option<&'static str>),
    VirtualHosted(Option<&'static str>),
    Bound(&'static str),
}

const ENDPOINTS: [Option<&str>; 4] =
    [None, Some("http://localhost:4443"), Some("https://storage.example.com:8443"), Some("[::1]")];

/// Requests that are mostly valid. Their texts have few letters, with a meaning in a URL, so that
/// different ones would soon be written the same way.
fn input() -> impl Strategy<Value = Input> {
    let rarely = |text: BoxedStrategy<String>, other: &'static str| prop_oneof![19 => text, 1 => other];
    let bucket = rarely("[ab]([ab-]?[ab.]?[ab])?".boxed(), "[aB_./-]{0,4}");
    let object = rarely("[a/%2F.?#&=+ ~\\\\:ü;é]{1,6}".boxed(), "(?s:.{0,4})");
    let value = || rarely("[a ,:;=&\t%2C]{0,5}".boxed(), "(?s:.{0,3})");
    let headers = vec((rarely("[aA]-?b?".boxed(), "host|[a: ;]{0,2}"), value()), 0..4);
    let parameter = rarely("[aAb=&]-?1?".boxed(), "X-Goog-Date|expires|");
    let query = hash_map(parameter, prop_oneof![value(), "(?s:.{0,3})"], 0..4);
    let place = prop_oneof![
        select(&ENDPOINTS[..]).prop_map(Place::Path),
        select(&ENDPOINTS[..3]).prop_map(Place::VirtualHosted),
        select(&["cdn.example.com", "http://b.example"][..]).prop_map(Place::Bound),
    ];
    let method = select(vec![Method::GET, Method::PUT, Method::DELETE, Method::HEAD, Method::POST]);
    let lifetime = prop_oneof![19 => 1..=604_800_u64, 1 => Just(604_801), 1 => Just(0)];
    let names = (bucket, option::of(object), "[s@p.]{0,3}");
    (method, names, lifetime, 0..4_000_000_000_u64, headers, query, place).prop_map(
        |(method, (bucket, object, account), lifetime, start, headers, query, place)| Input {
            method,
            bucket,
            object,
            lifetime,
            start,
            headers,
            query: query.into_iter().collect(),
            place,
            account,
        },
    )
}

impl Input {
    /// Returns this input with one of its values from another one.
    fn with_one_of(mut self, other: Self, index: usize) -> Self {
        match index {
            0 => self.method = other.method,
            1 => self.bucket = other.bucket,
            2 => self.object = other.object,
            3 => self.lifetime = other.lifetime,
            4 => self.start = other.start,
            5 => self.headers = other.headers,
            6 => self.query = other.query,
            7 => self.place = other.place,
            _ => self.account = other.account,
        }
        self
    }

    fn unsigned(&self) -> Result<UnsignedUrl, Error> {
        let request = match &self.object {
            Some(object) => SignedUrlRequest::new(self.method.clone(), &self.bucket, object),
            None => SignedUrlRequest::of_bucket(self.method.clone(), &self.bucket),
        };
        let mut request = request
            .lifetime(Duration::from_secs(self.lifetime))
            .accessible_at(UNIX_EPOCH + Duration::from_secs(self.start));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        for (name, value) in &self.query {
            request = request.query(name, value);
        }
        let endpoint = |request: SignedUrlRequest, endpoint: &Option<&str>| match endpoint {
            Some(endpoint) => request.endpoint(*endpoint),
            None => request,
        };
        let request = match &self.place {
            Place::Path(server) => endpoint(request, server),
            Place::VirtualHosted(server) => endpoint(request.virtual_hosted(), server),
            Place::Bound(host) => request.bucket_bound_host(*host),
        };
        UnsignedUrl::new(&request, &self.account, UNIVERSE, now())
    }

    /// Returns all that a server can learn from the request, written without any encoding.
    fn meaning(&self) -> Vec<String> {
        let server = match &self.place {
            Place::Path(server) | Place::VirtualHosted(server) => server.unwrap_or("storage.googleapis.com"),
            Place::Bound(host) => host,
        };
        let server = if server.contains("://") { server.to_owned() } else { format!("https://{server}") };
        let (scheme, host) = server.split_once("://").unwrap();
        let object = self.object.as_deref();
        let (host, path) = match &self.place {
            Place::Path(_) => (
                host.to_owned(),
                format!("/{}{}", self.bucket, object.map(|it| format!("/{it}")).unwrap_or_default()),
            ),
            Place::VirtualHosted(_) => {
                (format!("{}.{host}", self.bucket), format!("/{}", object.unwrap_or_default()))
            }
            Place::Bound(_) => (host.to_owned(), format!("/{}", object.unwrap_or_default())),
        };
        let mut headers = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in &self.headers {
            let words: Vec<&str> = value.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            headers.entry(name.to_lowercase()).or_default().push(words.join(" "));
        }
        let headers = headers.into_iter().map(|(name, values)| format!("{name}:{}", values.join(",")));
        let mut query = self.query.clone();
        query.sort();
        let head = [self.method.to_string(), scheme.to_owned(), host, path, self.account.clone()];
        let numbers = [self.start, self.lifetime].map(|number| number.to_string());
        let query = query.into_iter().flat_map(|(name, value)| [name, value]);
        head.into_iter().chain(numbers).chain(headers).chain(["query".to_owned()]).chain(query).collect()
    }
}

/// Reads all that a server learns from a URL and the canonical request.
fn read_back(unsigned: &UnsignedUrl) -> Vec<String> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let mut lines = unsigned.canonical_request.split('\n');
    let [method, path, query] = std::array::from_fn(|_| lines.next().unwrap());
    let url: Uri = format!("{}?{}", unsigned.base, unsigned.query).parse().unwrap();
    assert_eq!(Some(format!("{path}?{query}").as_str()), url.path_and_query().map(|it| it.as_str()));

    let mut headers: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let names: Vec<&str> = headers.iter().map(|line| line.split_once(':').unwrap().0).collect();
    assert_eq!(lines.next(), Some(names.join(";").as_str()));
    lines.next().unwrap();
    assert_eq!(lines.next(), None);
    let host = headers.remove(names.iter().position(|name| *name == "host").unwrap());
    let host = host.strip_prefix("host:").unwrap();
    assert_eq!(url.authority().map(|it| it.as_str()), Some(host));

    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(n, v)| (decoded(n), decoded(v)))
        .collect();
    let mut take = |name: &str| pairs.remove(pairs.iter().position(|pair| pair.0 == name).unwrap()).1;
    assert_eq!(take("X-Goog-Algorithm"), "GOOG4-RSA-SHA256");
    let credential = take("X-Goog-Credential");
    let account = credential.split_at(credential.len() - "/20261231/auto/storage/goog4_request".len()).0;
    let date = take("X-Goog-Date");
    let date = format!(
        "{}-{}-{}T{}:{}:{}Z",
        &date[..4],
        &date[4..6],
        &date[6..8],
        &date[9..11],
        &date[11..13],
        &date[13..15]
    );
    let start: prost_types::Timestamp = date.parse().unwrap();
    let lifetime = take("X-Goog-Expires");
    assert_eq!(take("X-Goog-SignedHeaders"), names.join(";"));
    pairs.sort();
    let head = [method, url.scheme_str().unwrap(), host, &decoded(path), account].map(str::to_owned);
    let numbers = [start.seconds.to_string(), lifetime];
    let headers = headers.into_iter().map(str::to_owned);
    let query = pairs.into_iter().flat_map(|(name, value)| [name, value]);
    head.into_iter().chain(numbers).chain(headers).chain(["query".to_owned()]).chain(query).collect()
}

fn config() -> Config {
    let default = Config::default();
    let cases = std::env::var_os("PROPTEST_CASES").map_or(500, |_| default.cases);
    Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..default }
}

/// conf: U3
#[test]
fn a_request_can_be_read_back_from_what_is_signed_and_another_one_is_not_signed_alike() {
    let (tried, valid) = (Cell::new(0), Cell::new(0));
    let inputs = (input(), input(), 0..9_usize);
    let outcome = TestRunner::new(config()).run(&inputs, |(input, other, index)| {
        tried.set(tried.get() + 1);
        let changed = input.clone().with_one_of(other, index);
        let mut signed = Vec::new();
        for input in [&input, &changed] {
            match input.unsigned() {
                Ok(unsigned) => {
                    prop_assert_eq!(read_back(&unsigned), input.meaning());
                    signed.push(unsigned.string_to_sign);
                }
                Err(error) => assert_names_a_field(&error),
            }
        }
        if let [first, second] = &signed[..] {
            valid.set(valid.get() + 1);
            prop_assert_eq!(first == second, input.meaning() == changed.meaning());
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(valid.get() > tried.get() / 4, "{} of {} are valid", valid.get(), tried.get());
}

proptest! {
    #![proptest_config(config())]

    /// conf: U3
    #[test]
    fn any_name_of_an_object_can_be_read_back_from_the_path(object in "\\PC{1,40}|[a-z/.%]{1,9}|(?s:.{1,20})") {
        let request = SignedUrlRequest::get("b", &object);
        match unsigned(request) {
            Ok(unsigned) => {
                let url: Uri = unsigned.base.parse().unwrap();
                let path = url.path().strip_prefix("/b/").unwrap();
                prop_assert_eq!(percent_decode_str(path).decode_utf8().unwrap(), object.as_str());
                prop_assert!(path.bytes().all(|byte| byte.is_ascii_graphic()));
            }
            Err(error) => {
                prop_assert_eq!(error.field(), Some("object"));
                let is_removed = object.split('/').any(|part| part == "." || part == "..");
                prop_assert!(is_removed || object.contains(['\r', '\n']), "{:?}: {}", object, error);
            }
        }
    }

    /// conf: U2
    #[test]
    fn an_endpoint_becomes_a_url_that_clients_read_in_the_same_way(text in "(https?://)?[a-zA-Z0-9.:_\\[\\]@%/-]{0,12}") {
        match unsigned(SignedUrlRequest::get("b", "o").endpoint(&text)) {
            Ok(unsigned) => {
                let url: Uri = unsigned.base.parse().unwrap();
                prop_assert_eq!(url.path(), "/b/o");
                let host = format!("\nhost:{}\n", url.authority().unwrap());
                prop_assert!(unsigned.canonical_request.contains(&host));
                prop_assert_eq!(host.to_lowercase(), host);
            }
            Err(error) => {
                prop_assert_eq!(error.field(), Some("endpoint"));
                assert_is_plain(&error.to_string());
            }
        }
    }
}
