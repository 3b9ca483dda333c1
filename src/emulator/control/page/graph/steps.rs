//! The hops of the explained chain, on a graph.

use std::collections::{BTreeSet, VecDeque};

use super::{Edge, Graph, Relation, node_of_project};
use crate::emulator::iam::explanation::{ExplainedHop, Explanation, Finding, GrantFacts};
use crate::roles::service_account_member;

/// What a graph shows of a chain.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// The edges by which hops are allowed, by their places.
    pub(super) used: BTreeSet<usize>,
    pub(super) refused: Vec<Refused>,
}

/// A hop that is refused.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) why: &'static str,
}

impl Steps {
    pub(super) fn new(graph: &Graph, explained: &Explanation) -> Self {
        let mut steps = Self::default();
        for hop in &explained.hops {
            steps.add(graph, hop);
        }
        steps
    }

    /// Adds what is drawn of a hop. A part of a large graph may lack some of it.
    fn add(&mut self, graph: &Graph, hop: &ExplainedHop) {
        let why = match &hop.finding {
            Finding::NoPolicy => return,
            Finding::Granted(grant) => return self.used.extend(edges_by_which(graph, hop, grant)),
            Finding::Pending(..) => "The grant isn't in force yet",
            Finding::ConditionIsFalse(_) => "The condition of the grant isn't true",
            Finding::NoGrant => "No grant",
            Finding::UnknownAccount => "No such account",
            Finding::DisabledAccount => "The account is disabled",
        };
        let account = service_account_member(&hop.account);
        if let (Some(from), Some(to)) = (graph.place(&hop.member), graph.place(&account)) {
            self.refused.push(Refused { from, to, why });
        }
    }
}

/// Returns the names of the nodes whose grants allow the hops of a chain, besides those of the chain itself.
pub(in super::super) fn nodes_by_which(explained: &Explanation) -> impl Iterator<Item = String> {
    let grants = explained.hops.iter().filter_map(|hop| match &hop.finding {
        Finding::Granted(grant) => Some(grant),
        _ => None,
    });
    grants.flat_map(|grant| {
        [Some(grant.member.clone()), grant.project.as_deref().map(node_of_project)].into_iter().flatten()
    })
}

/// Returns the edges by which a hop is allowed: from the member by groups to the one that has the grant, and from there
/// to the account, if necessary by its project.
fn edges_by_which(graph: &Graph, hop: &ExplainedHop, grant: &GrantFacts) -> Vec<usize> {
    let account = graph.place(&service_account_member(&hop.account));
    let project = grant.project.as_ref().and_then(|id| graph.place(&node_of_project(id)));
    let holder = graph.place(&grant.member);
    let on = if grant.project.is_some() { project } else { account };
    let is_used = |edge: &Edge| match &edge.relation {
        Relation::Grant(gives) => Some(edge.from) == holder && Some(edge.to) == on && *gives == grant.gives,
        Relation::Project => Some(edge.from) == project && Some(edge.to) == account,
        Relation::Membership => false,
    };
    let mut used: Vec<usize> = (0..graph.edges.len()).filter(|place| is_used(&graph.edges[*place])).collect();
    if let (Some(member), Some(holder)) = (graph.place(&hop.member), holder) {
        used.extend(memberships(graph, member, holder));
    }
    used
}

/// Returns the shortest way from a member to a group that contains it, over groups.
fn memberships(graph: &Graph, member: usize, group: usize) -> Vec<usize> {
    let mut came_by = vec![None; graph.nodes.len()];
    let mut queue = VecDeque::from([member]);
    while let Some(place) = queue.pop_front() {
        for (number, edge) in graph.edges.iter().enumerate() {
            let is_new = edge.to != member && came_by[edge.to].is_none();
            if edge.relation == Relation::Membership && edge.from == place && is_new {
                came_by[edge.to] = Some(number);
                queue.push_back(edge.to);
            }
        }
    }
    std::iter::successors(came_by[group], |number| came_by[graph.edges[*number].from]).collect()
}
