//! Which scopes include others.
//!
//! Google publishes no table of this. Its discovery documents list, for each method of each API, the
//! scopes of which any one suffices. Here a scope covers another one if every method that accepts
//! the other one accepts it too, in the 611 documents that google-api-python-client contained in
//! November 2026. Pairs in which a narrower scope would cover a wider one are left out: too few
//! methods name those.

use super::CLOUD_PLATFORM;

/// What the scopes of Google's APIs start with.
const PREFIX: &str = "https://www.googleapis.com/auth/";

/// What `cloud-platform` covers.
const IN_CLOUD_PLATFORM: &[&str] = &[
    "aiplatform",
    "apikeys",
    "apikeys.readonly",
    "appengine.admin",
    "bigquery",
    "bigquery.insertdata",
    "bigtable.admin",
    "bigtable.admin.cluster",
    "bigtable.admin.instance",
    "bigtable.admin.table",
    "cloud-bigtable.admin",
    "cloud-bigtable.admin.cluster",
    "cloud-bigtable.admin.table",
    "cloud-billing",
    "cloud-billing.readonly",
    "cloud-healthcare",
    "cloud-identity.groups",
    "cloud-identity.groups.readonly",
    "cloud-language",
    "cloud-platform.read-only",
    "cloud-translation",
    "cloud-vision",
    "cloud_debugger",
    "cloudasset",
    "cloudcomposer",
    "cloudcomposer.readonly",
    "cloudkms",
    "cloudruntimeconfig",
    "compute",
    "compute.readonly",
    "container",
    "container.read-only",
    "dataplex.read-write",
    "dataplex.readonly",
    "dataproc",
    "dataproc.read-only",
    "datastore",
    "devstorage.full_control",
    "devstorage.read_only",
    "devstorage.read_write",
    "dialogflow",
    "firebase.messaging",
    "logging.admin",
    "logging.read",
    "logging.write",
    "monitoring",
    "monitoring.read",
    "monitoring.write",
    "ndev.clouddns.readonly",
    "ndev.clouddns.readwrite",
    "ndev.cloudman",
    "ndev.cloudman.readonly",
    "organizationpolicy",
    "organizationpolicy.readonly",
    "pubsub",
    "redis.read-only",
    "redis.read-write",
    "run",
    "run.readonly",
    "securitycenter",
    "service.management",
    "service.management.readonly",
    "servicecontrol",
    "source.full_control",
    "source.read_only",
    "source.read_write",
    "spanner.admin",
    "spanner.data",
    "sqlservice.admin",
    "trace.append",
    "trace.readonly",
];

/// What other scopes cover: the wider one, then those in it.
const IN_OTHERS: &[(&str, &[&str])] = &[
    ("apikeys", &["apikeys.readonly"]),
    ("bigquery", &["bigquery.insertdata"]),
    ("cloud-billing", &["cloud-billing.readonly"]),
    ("cloud-identity.groups", &["cloud-identity.groups.readonly"]),
    ("cloudcomposer", &["cloudcomposer.readonly"]),
    ("compute", &["compute.readonly"]),
    ("container", &["container.read-only"]),
    ("dataplex.read-write", &["dataplex.readonly"]),
    ("dataproc", &["dataproc.read-only"]),
    ("devstorage.full_control", &["devstorage.read_only", "devstorage.read_write"]),
    ("logging.admin", &["logging.read", "logging.write"]),
    ("monitoring", &["monitoring.read", "monitoring.write"]),
    ("ndev.clouddns.readwrite", &["ndev.clouddns.readonly"]),
    ("ndev.cloudman", &["ndev.cloudman.readonly"]),
    ("organizationpolicy", &["organizationpolicy.readonly"]),
    ("redis.read-write", &["redis.read-only"]),
    ("run", &["run.readonly"]),
    ("service.management", &["service.management.readonly"]),
    ("source.full_control", &["source.read_only", "source.read_write"]),
];

/// Two names of one scope.
const EMAIL: [&str; 2] = ["email", super::USERINFO_EMAIL];
/// Two names of one scope.
const PROFILE: [&str; 2] = ["profile", "https://www.googleapis.com/auth/userinfo.profile"];

/// Returns the requested scopes that none of the granted ones covers.
pub(crate) fn not_covered<'a>(requested: &[&'a str], granted: &[String]) -> Vec<&'a str> {
    let is_covered = |scope: &str| granted.iter().any(|granted| covers(granted, scope));
    requested.iter().copied().filter(|scope| !is_covered(scope)).collect()
}

/// Returns whether a token with the scope `granted` can do all that one with `requested` can.
fn covers(granted: &str, requested: &str) -> bool {
    let are_names_of = |names: [&str; 2]| names.contains(&granted) && names.contains(&requested);
    if granted == requested || are_names_of(EMAIL) || are_names_of(PROFILE) {
        return true;
    }
    let (Some(wider), Some(narrower)) = (granted.strip_prefix(PREFIX), requested.strip_prefix(PREFIX)) else {
        return false;
    };
    match granted == CLOUD_PLATFORM {
        true => IN_CLOUD_PLATFORM.contains(&narrower),
        false => IN_OTHERS.iter().any(|(scope, contained)| *scope == wider && contained.contains(&narrower)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(name: &str) -> String {
        format!("{PREFIX}{name}")
    }

    /// conf: K2
    #[test]
    fn a_wider_scope_covers_a_narrower_one_and_not_the_reverse() {
        for (wider, narrower) in [
            ("cloud-platform", "pubsub"),
            ("cloud-platform", "cloud-platform.read-only"),
            ("devstorage.full_control", "devstorage.read_only"),
            ("compute", "compute.readonly"),
        ] {
            let (wider, narrower) = (scope(wider), scope(narrower));
            assert!(covers(&wider, &narrower), "{wider} {narrower}");
            assert!(!covers(&narrower, &wider), "{wider} {narrower}");
        }
    }

    /// conf: K2
    #[test]
    fn scopes_outside_google_cloud_are_never_covered_by_another_one() {
        for other in ["drive", "gmail.readonly", "admin.directory.user", "userinfo.email", "firebase"] {
            assert!(!covers(CLOUD_PLATFORM, &scope(other)), "{other}");
        }
        assert!(!covers("cloud-platform", "pubsub"));
        assert!(covers("email", super::super::USERINFO_EMAIL));
        assert!(!covers("email", "profile"));
    }

    fn any_scope() -> impl Strategy<Value = String> {
        let contained = IN_OTHERS.iter().flat_map(|(wider, contained)| contained.iter().chain([wider]));
        let names = IN_CLOUD_PLATFORM.iter().chain(contained).chain(&["cloud-platform", "drive", "gmail"]);
        prop::sample::select(names.map(|name| scope(name)).chain(["openid".to_owned()]).collect::<Vec<_>>())
    }

    proptest! {
        /// A chain of coverage never comes back, so no scope gets wider on the way.
        ///
        /// conf: K2
        #[test]
        fn coverage_is_an_order(a in any_scope(), b in any_scope(), c in any_scope()) {
            prop_assert!(covers(&a, &a));
            prop_assert!(!(covers(&a, &b) && covers(&b, &a)) || a == b);
            prop_assert!(!(covers(&a, &b) && covers(&b, &c)) || covers(&a, &c));
        }
    }
}
