//! What a request is for, by its method and path.

use http::Method;
use percent_encoding::percent_decode_str;

use super::operation::Operation;

/// A method and the resource that it is called on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(super) operation: Operation,
    /// The id or the number of the project, or `-`.
    pub(super) project: String,
    /// The e-mail address or the unique id of the account, if the path names one.
    pub(super) account: String,
    /// The id of the key, or the name of the service.
    pub(super) item: String,
}

impl Target {
    /// Returns `None` if the request isn't one of these APIs.
    pub(crate) fn find(method: &Method, path: &str) -> Option<Self> {
        let (version, rest) = path.strip_prefix('/')?.split_once('/')?;
        let decoded = |segment: &str| Some(percent_decode_str(segment).decode_utf8().ok()?.into_owned());
        let mut segments = rest.split('/').map(decoded).collect::<Option<Vec<_>>>()?;
        let verb = take_verb(segments.last_mut()?);
        if verb.is_some() && method != Method::POST {
            return None;
        }
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        if segments.iter().any(|segment| segment.is_empty()) {
            return None;
        }
        match version {
            "v1" => of_v1(method, &segments, verb.as_deref()),
            "v3" => of_v3(&segments, verb.as_deref()),
            _ => None,
        }
    }

    /// Returns the resource name as the request has it.
    pub(super) fn name(&self) -> String {
        let Self { operation, project, account, item } = self;
        match (account.as_str(), item.as_str()) {
            ("", "") if matches!(operation, Operation::ListAccounts | Operation::CreateAccount) => {
                format!("projects/{project}/serviceAccounts")
            }
            ("", "") => format!("projects/{project}"),
            ("", service) => format!("projects/{project}/services/{service}"),
            (account, "") => format!("projects/{project}/serviceAccounts/{account}"),
            (account, key) => format!("projects/{project}/serviceAccounts/{account}/keys/{key}"),
        }
    }
}

/// Splits `:verb` off the last segment, at its last colon. An account may contain a colon too, but a dot follows it.
fn take_verb(segment: &mut String) -> Option<String> {
    let at = segment.rfind(':').filter(|at| !segment[*at..].contains('.'))?;
    let verb = segment.split_off(at);
    Some(verb[1..].to_owned())
}

fn of_v1(method: &Method, segments: &[&str], verb: Option<&str>) -> Option<Target> {
    use Operation as O;
    let post = method == Method::POST;
    let (operation, project, account, item) = match (method.as_str(), segments, verb) {
        ("GET", ["projects", project], _) => (O::GetProject, project, "", ""),
        (_, ["projects", project], Some(verb)) if post => (of_project(verb)?, project, "", ""),
        ("GET", ["projects", project, "serviceAccounts"], _) => (O::ListAccounts, project, "", ""),
        ("POST", ["projects", project, "serviceAccounts"], None) => (O::CreateAccount, project, "", ""),
        (_, ["projects", project, "serviceAccounts", account], verb) => {
            (of_account(method, verb)?, project, *account, "")
        }
        ("GET", ["projects", project, "serviceAccounts", account, "keys"], _) => {
            (O::ListKeys, project, *account, "")
        }
        ("POST", ["projects", project, "serviceAccounts", account, "keys"], None) => {
            (O::CreateKey, project, *account, "")
        }
        ("GET", ["projects", project, "serviceAccounts", account, "keys", key], _) => {
            (O::GetKey, project, *account, *key)
        }
        ("DELETE", ["projects", project, "serviceAccounts", account, "keys", key], _) => {
            (O::DeleteKey, project, *account, *key)
        }
        ("GET", ["projects", project, "services", service], _) => (O::GetService, project, "", *service),
        ("POST", ["projects", project, "services"], Some("batchEnable")) => {
            (O::EnableServices, project, "", "")
        }
        ("POST", ["projects", project, "services", service], Some("enable")) => {
            (O::EnableService, project, "", *service)
        }
        ("POST", ["projects", project, "services", service], Some("disable")) => {
            (O::DisableService, project, "", *service)
        }
        _ => return None,
    };
    Some(target(operation, project, account, item))
}

/// Version 3 of Cloud Resource Manager. Only the policies of projects are the same as in version 1.
fn of_v3(segments: &[&str], verb: Option<&str>) -> Option<Target> {
    match segments {
        ["projects", project] => Some(target(of_project(verb?)?, project, "", "")),
        _ => None,
    }
}

fn target(operation: Operation, project: &str, account: &str, item: &str) -> Target {
    Target { operation, project: project.to_owned(), account: account.to_owned(), item: item.to_owned() }
}

fn of_project(verb: &str) -> Option<Operation> {
    Some(match verb {
        "getIamPolicy" => Operation::GetProjectPolicy,
        "setIamPolicy" => Operation::SetProjectPolicy,
        "testIamPermissions" => Operation::TestProjectPermissions,
        _ => return None,
    })
}

fn of_account(method: &Method, verb: Option<&str>) -> Option<Operation> {
    Some(match (method.as_str(), verb) {
        ("GET", None) => Operation::GetAccount,
        ("PATCH", None) => Operation::PatchAccount,
        ("DELETE", None) => Operation::DeleteAccount,
        ("POST", Some("enable")) => Operation::EnableAccount,
        ("POST", Some("disable")) => Operation::DisableAccount,
        ("POST", Some("undelete")) => Operation::UndeleteAccount,
        ("POST", Some("getIamPolicy")) => Operation::GetAccountPolicy,
        ("POST", Some("setIamPolicy")) => Operation::SetAccountPolicy,
        ("POST", Some("testIamPermissions")) => Operation::TestAccountPermissions,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_found_at_its_path() {
        let account = "projects/p/serviceAccounts/sa%40p.iam.gserviceaccount.com";
        for (method, path, operation) in [
            ("GET", "/v1/projects/p", Operation::GetProject),
            ("POST", "/v1/projects/p:getIamPolicy", Operation::GetProjectPolicy),
            ("POST", "/v3/projects/p:setIamPolicy", Operation::SetProjectPolicy),
            ("POST", "/v3/projects/p:testIamPermissions", Operation::TestProjectPermissions),
            ("GET", "/v1/projects/p/serviceAccounts", Operation::ListAccounts),
            ("POST", "/v1/projects/p/serviceAccounts", Operation::CreateAccount),
            ("GET", &format!("/v1/{account}"), Operation::GetAccount),
            ("PATCH", &format!("/v1/{account}"), Operation::PatchAccount),
            ("DELETE", &format!("/v1/{account}"), Operation::DeleteAccount),
            ("POST", &format!("/v1/{account}:undelete"), Operation::UndeleteAccount),
            ("POST", &format!("/v1/{account}%3AsetIamPolicy"), Operation::SetAccountPolicy),
            ("GET", &format!("/v1/{account}/keys"), Operation::ListKeys),
            ("DELETE", &format!("/v1/{account}/keys/0a"), Operation::DeleteKey),
            ("POST", "/v1/projects/7/services/run.googleapis.com:enable", Operation::EnableService),
            ("POST", "/v1/projects/7/services:batchEnable", Operation::EnableServices),
        ] {
            let method = method.parse().unwrap();
            let found = Target::find(&method, path).map(|target| target.operation);
            assert_eq!(found, Some(operation), "{method} {path}");
        }
    }

    #[test]
    fn other_requests_are_left_to_others() {
        for (method, path) in [
            ("POST", "/v1/projects/-/serviceAccounts/sa@p.iam.gserviceaccount.com:signBlob"),
            ("GET", "/v1/projects/-/serviceAccounts/sa@p.iam.gserviceaccount.com/allowedLocations"),
            ("GET", "/v1/projects/-/serviceAccounts/sa@p.iam.gserviceaccount.com:getIamPolicy"),
            ("GET", "/v3/projects/p"),
            ("POST", "/v1/projects//serviceAccounts"),
            ("POST", "/v1/projects/p/serviceAccounts/"),
            ("PUT", "/v1/projects/p"),
            ("GET", "/v1/projects/%ff"),
            ("POST", "/v2/projects/p:getIamPolicy"),
            ("GET", "/"),
        ] {
            assert_eq!(Target::find(&method.parse().unwrap(), path), None, "{method} {path}");
        }
    }

    #[test]
    fn the_verb_is_what_follows_the_last_colon() {
        let path = "/v1/projects/-/serviceAccounts/sa@p.example.com:q.iam.gserviceaccount.com:enable";
        let target = Target::find(&Method::POST, path).unwrap();
        assert_eq!(target.account, "sa@p.example.com:q.iam.gserviceaccount.com");
        assert_eq!(target.name(), path["/v1/".len()..path.len() - ":enable".len()]);
    }
}
