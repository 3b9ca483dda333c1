//! The drawing of a graph, as SVG. All its nodes are links.

use maud::{Markup, html};

use super::layout::{Cell, cells};
use super::steps::{Refused, Steps};
use super::{Edge, Graph, Node, Relation};
use crate::emulator::control::page::query::{View, same};
use crate::emulator::control::page::text::{cut, short};
use crate::printable::printable;

/// The distances of columns and rows, and the size of a node, in units of the drawing.
const COLUMN: usize = 270;
const ROW: usize = 52;
const WIDTH: usize = 200;
const HEIGHT: usize = 34;
const MARGIN: usize = 12;

/// How many characters of a name have room in a node.
const LABEL: usize = 24;

impl Graph {
    /// Draws the graph, with the view's chain.
    pub(in super::super) fn draw(&self, view: &View<'_>) -> Markup {
        let cells = cells(self);
        let steps = match &view.explained {
            Some(Ok(explained)) => Steps::new(self, explained),
            _ => Steps::default(),
        };
        let width =
            2 * MARGIN + WIDTH + COLUMN * cells.iter().map(|cell| cell.column).max().unwrap_or_default();
        let height =
            2 * MARGIN + HEIGHT + ROW / 3 + ROW * cells.iter().map(|cell| cell.row).max().unwrap_or_default();
        html! {
            svg .graph viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height)
                role="group" aria-label="Who may act as whom" {
                defs {
                    marker #arrow viewBox="0 0 8 8" refX="8" refY="4" markerUnits="userSpaceOnUse" markerWidth="10" markerHeight="10" orient="auto" {
                        path .arrow d="M0 0L8 4L0 8z" {}
                    }
                }
                @for (place, edge) in self.edges.iter().enumerate() {
                    (draw_edge(edge, &cells, steps.used.contains(&place)))
                }
                @for Refused { from, to, why } in &steps.refused {
                    path .refused d=(curve(cells[*from], cells[*to])) marker-end="url(#arrow)" { title { (why) } }
                }
                @for (node, cell) in self.nodes.iter().zip(&cells) { (draw_node(node, *cell, view)) }
            }
        }
    }
}

fn draw_edge(edge: &Edge, cells: &[Cell], is_used: bool) -> Markup {
    let (kind, about) = match &edge.relation {
        Relation::Grant(gives) => ("grant", cut(gives, 200)),
        Relation::Membership => ("membership", "is a member".to_owned()),
        Relation::Project => ("membership", "is in the project".to_owned()),
    };
    let class = if is_used { "step" } else { kind };
    html! {
        path .(class) d=(curve(cells[edge.from], cells[edge.to])) marker-end="url(#arrow)" { title { (about) } }
    }
}

fn draw_node(node: &Node, cell: Cell, view: &View<'_>) -> Markup {
    let (x, y) = corner(cell);
    let kind = match node {
        node if node.is_project() => "project",
        node if node.is_account() => "account",
        _ => "principal",
    };
    let selected = view.chain.iter().any(|name| same(name, &node.name));
    let body = html! {
        title { (cut(&node.name, 300)) @if node.is_disabled { " (disabled)" } }
        rect x=(x) y=(y) width=(WIDTH) height=(HEIGHT) rx="6" {}
        text x=(x + 10) y=(y + HEIGHT / 2 + 5) { (label(&node.name)) }
    };
    let class = format!(
        "node {kind}{}{}",
        if selected { " selected" } else { "" },
        if node.is_disabled { " disabled" } else { "" }
    );
    match node.is_project() {
        true => html! { g class=(class) { (body) } },
        false => {
            html! { a class=(class) href=(view.selecting(&node.name, node.is_account(), "#graph")) { (body) } }
        }
    }
}

/// Returns a name in the room that a node has.
fn label(name: &str) -> String {
    let name = short(name);
    match name.char_indices().nth(LABEL) {
        None => printable(&name).into_owned(),
        Some((end, _)) => format!("{}…", printable(&name[..end])),
    }
}

/// Returns the upper left corner of a node.
fn corner(cell: Cell) -> (usize, usize) {
    (MARGIN + COLUMN * cell.column, MARGIN + ROW * cell.row)
}

/// Returns the line from the right side of a node to the left side of another. In a row, it passes below the nodes on its way,
/// which are its own if it leads back.
fn curve(from: Cell, to: Cell) -> String {
    let ((x1, y1), (x2, y2)) = (corner(from), corner(to));
    let (x1, y1, y2) = (x1 + WIDTH, y1 + HEIGHT / 2, y2 + HEIGHT / 2);
    let bend = 50;
    let below = if from.row == to.row && to.column != from.column + 1 { ROW * 2 / 3 } else { 0 };
    format!("M{x1} {y1}C{} {} {} {} {x2} {y2}", x1 + bend, y1 + below, x2.saturating_sub(bend), y2 + below)
}
