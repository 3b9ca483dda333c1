//! Where the nodes of a graph are drawn: in columns, so that most edges lead to the right.

use super::Graph;

/// A node's column, and its row in it, both from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) column: usize,
    pub(super) row: usize,
}

/// Returns the cell of each node.
pub(super) fn cells(graph: &Graph) -> Vec<Cell> {
    let columns = columns(graph);
    let mut cells = vec![Cell::default(); graph.nodes.len()];
    for column in 0..columns.iter().max().map_or(0, |last| last + 1) {
        let mut places: Vec<usize> = (0..columns.len()).filter(|place| columns[*place] == column).collect();
        // Near those that lead to it.
        places.sort_by_cached_key(|place| {
            let rows: Vec<usize> = graph
                .edges
                .iter()
                .filter(|edge| edge.to == *place && columns[edge.from] < column)
                .map(|edge| cells[edge.from].row)
                .collect();
            (1000 * rows.iter().sum::<usize>()).checked_div(rows.len()).unwrap_or(usize::MAX)
        });
        for (row, place) in places.into_iter().enumerate() {
            cells[place] = Cell { column, row };
        }
    }
    cells
}

/// Returns the column of each node: one more than the last of those that lead to it. In a cycle, the edge that closes
/// it doesn't count.
fn columns(graph: &Graph) -> Vec<usize> {
    let mut before = vec![Vec::new(); graph.nodes.len()];
    for edge in &graph.edges {
        before[edge.to].push(edge.from);
    }
    let mut columns = vec![None; graph.nodes.len()];
    let mut open = vec![false; graph.nodes.len()];
    for place in 0..graph.nodes.len() {
        find_column(place, &before, &mut columns, &mut open);
    }
    columns.into_iter().map(Option::unwrap_or_default).collect()
}

/// The depth of the recursion is at most the number of nodes, which are few.
fn find_column(
    place: usize,
    before: &[Vec<usize>],
    columns: &mut [Option<usize>],
    open: &mut [bool],
) -> Option<usize> {
    if columns[place].is_some() || open[place] {
        return columns[place];
    }
    open[place] = true;
    let behind = before[place].iter().filter_map(|from| find_column(*from, before, columns, open));
    let column = behind.max().map_or(0, |last| last + 1);
    open[place] = false;
    columns[place] = Some(column);
    Some(column)
}

#[cfg(test)]
mod tests {
    use super::super::{Edge, Relation};
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::default();
        for (from, to) in edges {
            let (from, to) = (graph.node(from), graph.node(to));
            graph.edges.push(Edge { from, to, relation: Relation::Membership });
        }
        graph
    }

    #[test]
    fn an_edge_leads_to_the_right_unless_it_closes_a_cycle() {
        let graph =
            graph(&[("u", "a"), ("a", "b"), ("u", "b"), ("v", "b"), ("c", "d"), ("d", "c"), ("e", "e")]);
        let cells = cells(&graph);
        let column = |name: &str| cells[graph.places[name]].column;
        assert_eq!((column("u"), column("v"), column("a"), column("b"), column("e")), (0, 0, 1, 2, 0));
        assert_eq!(column("c").abs_diff(column("d")), 1, "one of the two edges leads to the right");
        for (place, cell) in cells.iter().enumerate() {
            assert!(cells[place + 1..].iter().all(|other| other != cell), "one node in each cell: {cells:?}");
        }
    }

    #[test]
    fn a_node_is_near_those_that_lead_to_it() {
        let graph =
            graph(&[("u", "x"), ("v", "y"), ("w", "z"), ("w", "a"), ("v", "b"), ("u", "c"), ("x", "c")]);
        let cells = cells(&graph);
        let mut second: Vec<&str> = vec!["x", "y", "z", "a", "b"];
        second.sort_by_key(|name| cells[graph.places[*name]].row);
        assert_eq!(second, ["x", "y", "b", "z", "a"]);
    }
}
