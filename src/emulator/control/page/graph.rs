//! Who may act as whom, as a graph: its nodes are principals, projects and accounts, and its edges grants.

mod drawing;
mod layout;
mod steps;

use std::collections::{BTreeSet, HashMap, VecDeque};

pub(super) use self::steps::nodes_by_which;
use crate::emulator::iam::account::project_of;
use crate::emulator::iam::policy::{Policy, Resource};
use crate::roles::{SERVICE_ACCOUNT, service_account_member};

/// How many nodes are drawn at once.
pub(super) const MOST_NODES: usize = 40;

/// What precedes the name of a project.
const PROJECT: &str = "project:";

/// The whole graph of a policy.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    places: HashMap<String, usize>,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The principal as policies name it, or `project:` and an id.
    name: String,
    is_disabled: bool,
}

impl Node {
    fn is_account(&self) -> bool {
        self.name.starts_with(SERVICE_ACCOUNT)
    }

    fn is_project(&self) -> bool {
        self.name.starts_with(PROJECT)
    }
}

/// Returns the name of a project's node.
fn node_of_project(id: &str) -> String {
    format!("{PROJECT}{id}")
}

/// A relation of the first node to the second one.
#[derive(Clone, Debug)]
struct Edge {
    from: usize,
    to: usize,
    relation: Relation,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Relation {
    /// It has this role or these permissions on it.
    Grant(String),
    /// It is a member of that group.
    Membership,
    /// It contains that account, so that grants on it count for the account.
    Project,
}

impl Graph {
    pub(super) fn of(policy: &Policy) -> Self {
        let mut graph = Self::default();
        for (email, _) in policy.accounts() {
            let account = graph.node(&service_account_member(email));
            graph.nodes[account].is_disabled = policy.is_disabled(email);
        }
        let mut projects = BTreeSet::new();
        for access in policy.accesses() {
            let from = graph.node(access.member.as_str());
            let to = match access.on {
                Resource::Account(email) => graph.node(&service_account_member(email)),
                Resource::Project(project) => {
                    projects.insert(project);
                    graph.node(&node_of_project(project))
                }
            };
            graph.edges.push(Edge { from, to, relation: Relation::Grant(access.gives) });
        }
        for (member, group) in policy.memberships() {
            let (from, to) = (graph.node(member.as_str()), graph.node(&format!("group:{group}")));
            graph.edges.push(Edge { from, to, relation: Relation::Membership });
        }
        for (email, _) in policy.accounts() {
            if projects.contains(project_of(email)) {
                let from = graph.node(&node_of_project(project_of(email)));
                let to = graph.node(&service_account_member(email));
                graph.edges.push(Edge { from, to, relation: Relation::Project });
            }
        }
        graph
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// Returns the place of a node. Adds it if necessary.
    fn node(&mut self, name: &str) -> usize {
        if let Some(place) = self.place(name) {
            return place;
        }
        self.nodes.push(Node { name: name.to_owned(), is_disabled: false });
        self.places.insert(name.to_owned(), self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// Returns the part of the graph to draw: all of it if it is small. Otherwise the nodes of `selected`, who may act
    /// as the last one of them, and as whom it may act, the nearest first.
    pub(super) fn around(&self, selected: &[String]) -> Self {
        let mut shown: Vec<usize> = selected.iter().filter_map(|name| self.place(name)).collect();
        if self.len() <= MOST_NODES {
            shown = (0..self.len()).collect();
        } else if let Some(center) = shown.last().copied().or_else(|| self.busiest()) {
            self.extend_to_neighbors(&mut shown, center);
        }
        let mut part = Self::default();
        for place in &shown {
            let copy = part.node(&self.nodes[*place].name);
            part.nodes[copy].is_disabled = self.nodes[*place].is_disabled;
        }
        for Edge { from, to, relation } in &self.edges {
            let place = |old: usize| part.place(&self.nodes[old].name);
            if let (Some(from), Some(to)) = (place(*from), place(*to)) {
                part.edges.push(Edge { from, to, relation: relation.clone() });
            }
        }
        part
    }

    /// Returns the node with the most edges.
    fn busiest(&self) -> Option<usize> {
        let mut degrees = vec![0_usize; self.len()];
        for edge in &self.edges {
            degrees[edge.from] += 1;
            degrees[edge.to] += 1;
        }
        (0..self.len()).max_by_key(|place| degrees[*place])
    }

    /// Adds the nodes before and behind `center`, the nearest first.
    fn extend_to_neighbors(&self, shown: &mut Vec<usize>, center: usize) {
        let mut next = vec![(Vec::new(), Vec::new()); self.len()];
        for edge in &self.edges {
            next[edge.from].1.push(edge.to);
            next[edge.to].0.push(edge.from);
        }
        let mut seen: BTreeSet<usize> = shown.iter().copied().collect();
        let mut queue = VecDeque::from([(center, true), (center, false)]);
        if seen.insert(center) {
            shown.push(center);
        }
        while let Some((place, backward)) = queue.pop_front() {
            let (before, behind) = &next[place];
            for neighbor in if backward { before } else { behind } {
                if shown.len() < MOST_NODES && seen.insert(*neighbor) {
                    shown.push(*neighbor);
                    queue.push_back((*neighbor, backward));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::iam::policy::Role;

    fn names(graph: &Graph) -> BTreeSet<&str> {
        graph.nodes.iter().map(|node| node.name.as_str()).collect()
    }

    #[test]
    fn the_graph_has_accounts_members_groups_and_projects_with_grants() {
        let (a, b) = ("a@p.iam.gserviceaccount.com", "b@q.iam.gserviceaccount.com");
        let policy = Policy::new()
            .disabled_account(b)
            .group("admins@x.example", ["user:eve@x.example"])
            .grant("group:admins@x.example", Role::TOKEN_CREATOR, a)
            .grant("user:viewer@x.example", Role::SERVICE_ACCOUNT_VIEWER, a)
            .grant_on_project(format!("serviceAccount:{a}"), Role::TOKEN_CREATOR, "q");
        policy.validate().unwrap();
        let graph = Graph::of(&policy);
        let edges: BTreeSet<String> = graph
            .edges
            .iter()
            .map(|edge| {
                format!("{} {} {:?}", graph.nodes[edge.from].name, graph.nodes[edge.to].name, edge.relation)
            })
            .collect();
        let (a, b) = (format!("serviceAccount:{a}"), format!("serviceAccount:{b}"));
        let role = "Grant(\"roles/iam.serviceAccountTokenCreator\")";
        let expected = [
            format!("group:admins@x.example {a} {role}"),
            format!("project:q {b} Project"),
            format!("{a} project:q {role}"),
            "user:eve@x.example group:admins@x.example Membership".to_owned(),
        ];
        assert_eq!(edges, expected.into_iter().collect(), "a viewer can't act as the account");
        let disabled: Vec<_> = graph.nodes.iter().filter(|node| node.is_disabled).collect();
        assert_eq!(disabled.len(), 1);
        assert_eq!(disabled[0].name, b);
    }

    #[test]
    fn a_large_graph_is_drawn_around_what_is_selected() {
        let account = |index: usize| format!("sa{index}@p.iam.gserviceaccount.com");
        let mut policy = Policy::new();
        for index in 0..1000 {
            policy = policy.grant(
                format!("serviceAccount:{}", account(index)),
                Role::TOKEN_CREATOR,
                &account(index + 1),
            );
        }
        let graph = Graph::of(&policy);
        assert_eq!(graph.len(), 1001);
        let selected = [format!("serviceAccount:{}", account(500)), "user:nobody@x.example".to_owned()];
        let part = graph.around(&selected);
        assert_eq!(part.len(), MOST_NODES);
        assert_eq!(part.edges.len(), MOST_NODES - 1, "they are neighbors");
        assert!(names(&part).contains(&*format!("serviceAccount:{}", account(499))));
        assert!(names(&part).contains(&*format!("serviceAccount:{}", account(501))));
        assert_eq!(graph.around(&[]).len(), MOST_NODES);
        assert_eq!(Graph::default().around(&selected).len(), 0);
    }
}
