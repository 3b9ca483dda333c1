//! Routes and formats of the metadata server of Compute Engine and Cloud Run.
//!
//! A [`Machine`] becomes a tree of [`Node`]s. A path and a [`Query`] select the [`Resource`] in it that a
//! request asks for. [`answer`] makes the reply for whatever [`Backend`] the tokens come from.

mod answer;
mod machine;
mod query;
mod tree;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

pub(crate) use self::answer::{Backend, answer, failure, mark};
pub(crate) use self::machine::{Machine, MachineAccount};
pub(crate) use self::query::Query;
use self::query::{Alt, Wait};
use self::tree::Node;

/// The header of requests and of replies that tells the metadata server from other servers.
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");

/// The value of [`FLAVOR`].
const GOOGLE: &str = "Google";

/// The value of the header `Server`.
const SERVER: &str = "Metadata Server for VM";

/// The content type of pages for people.
const TEXT: &str = "text/plain";

/// The content type of JSON.
const JSON: &str = "application/json";

/// The path of the root of version 1.
const ROOT: &str = "/computeMetadata/v1";

/// The paths of folders above the root, with what they contain. They need no header: libraries probe them.
const ABOVE_ROOT: [(&str, &str); 2] = [("/", "computeMetadata/\n"), ("/computeMetadata/", "v1/\n")];

/// A folder below the root that is returned without the slash at its end, too: Node's gcp-metadata probes it.
const PROBED: &str = "/instance";

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: &'static str,
}

impl Refusal {
    const fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, message }
    }

    /// There is nothing at the path.
    pub(crate) const NOT_FOUND: Self = Self::new(StatusCode::NOT_FOUND, "404 Not Found");

    /// A request for an ID token names no audience.
    const NO_AUDIENCE: Self = Self::new(StatusCode::BAD_REQUEST, "non-empty audience parameter required");
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Resource {
    Page(Page),
    /// A folder that was requested without the slash at its end: the path and query with the slash.
    Moved(String),
    /// An access token of the machine's account.
    Token,
    /// An ID token of the machine's account.
    Identity,
}

/// A page whose content depends only on the machine.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    content_type: &'static str,
    body: String,
}

impl Page {
    fn text(body: impl Into<String>) -> Self {
        Self { content_type: TEXT, body: body.into() }
    }

    fn json(value: &Value) -> Self {
        Self { content_type: JSON, body: value.to_string() }
    }

    /// Returns the page of an access token that lives for `left`.
    fn access_token(token: &str, left: Duration) -> Self {
        Self::json(&json!({"access_token": token, "expires_in": left.as_secs(), "token_type": "Bearer"}))
    }

    /// Returns the value of the header `ETag`: equal pages have equal ones.
    fn etag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.body.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Returns the page of a path above the root of version 1, if it is one.
fn above_root(path: &str) -> Option<Page> {
    ABOVE_ROOT.iter().find(|(known, _)| *known == path).map(|(_, content)| Page::text(*content))
}

/// Checks the headers of a request below the root. A web page in a browser can't set [`FLAVOR`], and a
/// proxy that forwards requests of others adds `X-Forwarded-For`.
fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    let refused = |message| Err(Refusal::new(StatusCode::FORBIDDEN, message));
    if headers.get(FLAVOR).is_none_or(|value| value != GOOGLE) {
        return refused("Missing Metadata-Flavor:Google header.");
    }
    if headers.contains_key("x-forwarded-for") {
        return refused("X-Forwarded-For is not allowed.");
    }
    Ok(())
}

/// Finds what a path and the text of a query ask for. `tree` is that of [`Machine::tree`].
fn find(tree: &Node, path: &str, query: &Query) -> Result<Resource, Refusal> {
    let below = path.strip_prefix(ROOT).filter(|below| below.is_empty() || below.starts_with('/'));
    let below = below.ok_or(Refusal::NOT_FOUND)?;
    let decoded = percent_decode_str(below).decode_utf8().map_err(|_| Refusal::NOT_FOUND)?;
    let node = tree.find(&decoded).ok_or(Refusal::NOT_FOUND)?;
    match node {
        Node::Token => Ok(Resource::Token),
        Node::Identity => Ok(Resource::Identity),
        Node::Folder(_) if !below.ends_with('/') && below != PROBED => {
            Ok(Resource::Moved(format!("{path}/")))
        }
        node => Ok(Resource::Page(node.page(query))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const EMAIL: &str = "my-machine@project.iam.gserviceaccount.com";

    fn machine() -> Machine {
        Machine {
            project: Some("project".to_owned()),
            project_number: 12,
            universe: "googleapis.com".to_owned(),
            name: "vm-1".to_owned(),
            id: 7_000_000_000_000_000_001,
            zone: Some("europe-west1-b".to_owned()),
            created: 1_600_000_000,
            attributes: BTreeMap::from([("cluster-name".to_owned(), "blue".to_owned())]),
            project_attributes: BTreeMap::from([("Team".to_owned(), "core".to_owned())]),
            licenses: vec!["1000204".to_owned()],
            account: Some(MachineAccount {
                email: EMAIL.to_owned(),
                scopes: vec!["s/a".into(), "s/b".into()],
            }),
        }
    }

    /// Returns the body of a page, or the path it has moved to.
    fn get(path_and_query: &str) -> Result<String, u16> {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let query = Query::parse(query).map_err(|refusal| refusal.status.as_u16())?;
        match find(&machine().tree(), path, &query) {
            Ok(Resource::Page(page)) => Ok(page.body),
            Ok(Resource::Moved(path)) => Ok(format!("-> {path}")),
            Ok(other) => Ok(format!("{other:?}")),
            Err(refusal) => Err(refusal.status.as_u16()),
        }
    }

    /// Returns a page below the root.
    fn below(path_and_query: &str) -> Result<String, u16> {
        get(&format!("{ROOT}/{path_and_query}"))
    }

    #[test]
    fn folders_end_with_a_slash_and_values_do_not() {
        assert_eq!(get(ROOT).unwrap(), format!("-> {ROOT}/"));
        assert_eq!(below("instance"), below("instance/"), "libraries probe it");
        assert_eq!(below("project").unwrap(), format!("-> {ROOT}/project/"));
        assert_eq!(
            below("instance/service-accounts/default").unwrap(),
            format!("-> {ROOT}/instance/service-accounts/default/")
        );
        assert_eq!(below("").unwrap(), "instance/\nproject/\nuniverse/\n");
        assert!(below("instance/").unwrap().contains("attributes/\n"), "{:?}", below("instance/"));
        for missing in
            ["instance/id/", "instance//id", "/instance/", "instance/nothing", "instances", "instance/id/x"]
        {
            assert_eq!(below(missing), Err(404), "{missing}");
        }
        for missing in ["/computeMetadata/v12/", "/computeMetadata/v1beta1/", "/computeMetadata/v1%ff"] {
            assert_eq!(get(missing), Err(404), "{missing}");
        }
    }

    #[test]
    fn a_value_is_text_or_json() {
        for (path, expected) in [
            ("instance/id", "7000000000000000001"),
            ("instance/name", "vm-1"),
            ("instance/zone", "projects/12/zones/europe-west1-b"),
            ("instance/region", "projects/12/regions/europe-west1"),
            ("instance/hostname", "vm-1.europe-west1-b.c.project.internal"),
            ("instance/attributes/cluster-name", "blue"),
            ("instance/attributes/cluster-name?alt=json", "\"blue\""),
            ("instance/licenses/0/id", "1000204"),
            ("instance/network-interfaces/0/ip", "10.128.0.2"),
            ("instance/network-interfaces/0/access-configs/", "0/\n"),
            ("instance/scheduling/preemptible", "FALSE"),
            ("instance/tags", "[]"),
            ("instance/tags?alt=text", ""),
            ("project/project-id", "project"),
            ("project/numeric-project-id", "12"),
            ("project/numeric-project-id?alt=json", "12"),
            ("universe/universe-domain", "googleapis.com"),
            ("universe/universe_domain", "googleapis.com"),
            ("instance/service-accounts/default/aliases", "default\n"),
            ("instance/service-accounts/default/scopes", "s/a\ns/b\n"),
            ("instance/service-accounts/default/scopes?alt=json", r#"["s/a","s/b"]"#),
            ("instance/service-accounts/my-machine%40project.iam.gserviceaccount.com/email", EMAIL),
            ("instance/service-accounts/default/token?recursive=true", "Token"),
            ("instance/service-accounts/default/identity?audience=a", "Identity"),
        ] {
            assert_eq!(below(path).as_deref(), Ok(expected), "{path}");
        }
        assert_eq!(below("instance/id?alt=xml"), Err(400));
    }

    #[test]
    fn recursion_gives_json_at_every_level_and_no_tokens() {
        let json = |path: &str| serde_json::from_str::<Value>(&below(path).unwrap()).unwrap();
        let all = json("?recursive=true");
        let instance = json("instance/?recursive=TRUE");
        assert_eq!(all["instance"], instance);
        assert_eq!(
            all["project"],
            json!({"attributes": {"Team": "core"}, "numericProjectId": 12, "projectId": "project"})
        );
        assert_eq!(instance["id"].as_u64(), Some(7_000_000_000_000_000_001));
        assert_eq!(instance["attributes"], json!({"cluster-name": "blue"}), "chosen names stay");
        assert_eq!(instance["licenses"], json!([{"id": "1000204"}]));
        let account = json!({"aliases": ["default"], "email": EMAIL, "scopes": ["s/a", "s/b"]});
        assert_eq!(instance["serviceAccounts"], json!({"default": account, EMAIL: account}));
        assert_eq!(json("instance/service-accounts/default/?recursive=true"), account);
        assert_eq!(
            below("instance/service-accounts/default/?recursive=true&alt=text").unwrap(),
            format!("aliases default\nemail {EMAIL}\nscopes s/a\nscopes s/b\n")
        );
        assert_eq!(
            below("project/?recursive=true&alt=text").unwrap(),
            "attributes/Team core\nnumeric-project-id 12\nproject-id project\n"
        );
    }

    #[test]
    fn what_is_not_known_is_not_there() {
        let tree = Machine { project: None, zone: None, ..machine() }.tree();
        let find = |path: &str| find(&tree, &format!("{ROOT}/{path}"), &Query::default());
        for missing in ["project/project-id", "instance/zone", "instance/region"] {
            assert_eq!(find(missing), Err(Refusal::NOT_FOUND), "{missing}");
        }
        assert_eq!(find("instance/hostname"), Ok(Resource::Page(Page::text("vm-1"))));
    }

    #[test]
    fn a_machine_without_an_account_has_an_empty_folder() {
        let tree = Machine { account: None, ..machine() }.tree();
        let find =
            |path: &str| find(&tree, &format!("{ROOT}/instance/service-accounts/{path}"), &Query::default());
        assert_eq!(find(""), Ok(Resource::Page(Page::text(""))));
        assert_eq!(find("default/email"), Err(Refusal::NOT_FOUND));
    }

    #[test]
    fn only_requests_with_the_header_are_taken_and_forwarded_ones_are_not() {
        let mut headers = HeaderMap::new();
        check_headers(&headers).unwrap_err();
        headers.insert(FLAVOR, "google".parse().unwrap());
        check_headers(&headers).unwrap_err();
        headers.insert(FLAVOR, GOOGLE.parse().unwrap());
        check_headers(&headers).unwrap();
        headers.insert("x-forwarded-for", "10.0.0.1".parse().unwrap());
        assert_eq!(check_headers(&headers).unwrap_err().status, StatusCode::FORBIDDEN);
    }

    #[test]
    fn folders_above_the_root_are_pages_and_nothing_else_is() {
        assert_eq!(above_root("/"), Some(Page::text("computeMetadata/\n")));
        assert_eq!(above_root("/computeMetadata/"), Some(Page::text("v1/\n")));
        assert_eq!(above_root("/computeMetadata/v1/"), None);
    }

    #[test]
    fn a_machine_tells_its_licenses_only_if_they_are_wanted() {
        let mut claims = json!({"compute_engine": {
            "instance_creation_timestamp": 1_600_000_000, "instance_id": "7000000000000000001",
            "instance_name": "vm-1", "project_id": "project", "project_number": 12, "zone": "europe-west1-b",
        }});
        assert_eq!(machine().claims(false), claims);
        claims["compute_engine"]["license_id"] = json!(["1000204"]);
        assert_eq!(machine().claims(true), claims);
    }

    #[test]
    fn equal_pages_have_equal_etags() {
        assert_eq!(Page::text("a").etag(), Page::text("a").etag());
        assert_ne!(Page::text("a").etag(), Page::text("b").etag());
        assert_eq!(Page::text("").etag().len(), 16);
    }
}
