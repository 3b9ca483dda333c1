//! What the metadata server says about its machine.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Node;

/// The machine that a metadata server belongs to.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) project: Option<String>,
    /// 0 if it isn't known. gcloud recognizes a metadata server by the digits of this number.
    pub(crate) project_number: u64,
    /// The domain of its universe.
    pub(crate) universe: String,
    pub(crate) name: String,
    pub(crate) id: u64,
    /// `us-central1-a`, for example.
    pub(crate) zone: Option<String>,
    /// When the machine was created, in seconds since 1970.
    pub(crate) created: i64,
    pub(crate) attributes: BTreeMap<String, String>,
    /// The attributes of its project.
    pub(crate) project_attributes: BTreeMap<String, String>,
    /// The ids of the licenses of its image.
    pub(crate) licenses: Vec<String>,
    pub(crate) account: Option<MachineAccount>,
}

/// The service account of a machine.
#[derive(Debug)]
pub(crate) struct MachineAccount {
    pub(crate) email: String,
    pub(crate) scopes: Vec<String>,
}

impl Machine {
    /// Returns everything that the metadata server says.
    pub(crate) fn tree(&self) -> Node {
        Node::folder([
            ("instance", self.instance()),
            ("project", self.project()),
            ("universe", Node::folder([("universe-domain", text(&self.universe))])),
        ])
    }

    /// Returns the claim `google` of an ID token in full format.
    pub(crate) fn claims(&self, with_licenses: bool) -> Value {
        let mut machine = json!({
            "instance_creation_timestamp": self.created,
            "instance_id": self.id.to_string(),
            "instance_name": self.name,
            "project_id": self.project,
            "project_number": self.project_number,
            "zone": self.zone,
        });
        if with_licenses {
            machine["license_id"] = self.licenses.clone().into();
        }
        json!({ "compute_engine": machine })
    }

    fn instance(&self) -> Node {
        let number = self.project_number;
        let license = |id: &String| Node::folder([("id", text(id))]);
        Node::folder([
            ("attributes", texts(&self.attributes)),
            ("cpu-platform", text("Unknown CPU Platform")),
            ("description", text("")),
            ("hostname", text(&self.hostname())),
            ("id", Node::Number(self.id)),
            ("licenses", Node::numbered(self.licenses.iter().map(license))),
            ("machine-type", text(&format!("projects/{number}/machineTypes/e2-medium"))),
            ("maintenance-event", text("NONE")),
            ("name", text(&self.name)),
            ("network-interfaces", Node::numbered([network_interface(number)])),
            ("preempted", text("FALSE")),
            (
                "region",
                self.zone.as_deref().map_or(Node::Absent, |zone| self.location("regions", region(zone))),
            ),
            ("scheduling", scheduling()),
            ("service-accounts", self.service_accounts()),
            ("tags", Node::List(Vec::new())),
            ("zone", self.zone.as_deref().map_or(Node::Absent, |zone| self.location("zones", zone))),
        ])
    }

    fn hostname(&self) -> String {
        match (&self.zone, &self.project) {
            (Some(zone), Some(project)) => format!("{}.{zone}.c.{project}.internal", self.name),
            _ => self.name.clone(),
        }
    }

    fn location(&self, kind: &str, name: &str) -> Node {
        text(&format!("projects/{}/{kind}/{name}", self.project_number))
    }

    fn project(&self) -> Node {
        Node::folder([
            ("attributes", texts(&self.project_attributes)),
            ("numeric-project-id", Node::Number(self.project_number)),
            ("project-id", self.project.as_deref().map_or(Node::Absent, text)),
        ])
    }

    fn service_accounts(&self) -> Node {
        let both_names = |account: &MachineAccount| {
            [("default".to_owned(), of_account(account)), (account.email.clone(), of_account(account))]
        };
        Node::named(self.account.iter().flat_map(both_names))
    }
}

/// Returns the region of a zone: `europe-west1` of `europe-west1-b`.
fn region(zone: &str) -> &str {
    zone.rsplit_once('-').map_or(zone, |(region, _)| region)
}

fn of_account(account: &MachineAccount) -> Node {
    Node::folder([
        ("aliases", Node::Lines(vec!["default".to_owned()])),
        ("email", text(&account.email)),
        ("identity", Node::Identity),
        ("scopes", Node::Lines(account.scopes.clone())),
        ("token", Node::Token),
    ])
}

fn network_interface(project_number: u64) -> Node {
    let access = Node::folder([("external-ip", text("")), ("type", text("ONE_TO_ONE_NAT"))]);
    Node::folder([
        ("access-configs", Node::numbered([access])),
        ("ip", text("10.128.0.2")),
        ("mac", text("42:01:0a:80:00:02")),
        ("network", text(&format!("projects/{project_number}/networks/default"))),
    ])
}

fn scheduling() -> Node {
    Node::folder([
        ("automatic-restart", text("TRUE")),
        ("on-host-maintenance", text("MIGRATE")),
        ("preemptible", text("FALSE")),
    ])
}

fn text(text: &str) -> Node {
    Node::Text(text.to_owned())
}

fn texts(map: &BTreeMap<String, String>) -> Node {
    Node::named(map.iter().map(|(name, value)| (name.clone(), text(value))))
}
