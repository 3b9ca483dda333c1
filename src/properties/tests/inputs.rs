//! Inputs for the properties: the committed ones, and changes of them.

use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Pieces that have a meaning somewhere.
const PIECES: [&str; 40] = [
    "\n",
    "\0",
    " ",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\u{1b}[2J",
    "\u{202e}",
    "ü",
    "$(id)",
    "`id`",
    ";",
    "|",
    "&",
    "#",
    "?",
    "%40",
    "%ff",
    "@",
    "/",
    "//",
    ":",
    "..",
    "=",
    ",",
    "{",
    "}",
    "[",
    "]",
    "null",
    "true",
    "-1",
    "0",
    "1e400",
    "18446744073709551616",
    "9223372036854775807",
    "0.5",
    "hidden",
    "\nfix: ",
];

/// One change of an input.
#[derive(Clone, Debug)]
enum Change {
    /// Inserts a piece.
    Insert(Index, Index),
    /// Inserts any bytes.
    InsertBytes(Index, Vec<u8>),
    /// Replaces one byte.
    Replace(Index, u8),
    /// Removes up to this many bytes.
    Remove(Index, usize),
    /// Continues with the end of another input.
    Splice(Index, Index, Index),
    /// Repeats the bytes between two places.
    Repeat(Index, Index, usize),
}

/// Returns the committed inputs of a target, and the empty one.
pub(super) fn committed(target: &str) -> Vec<Vec<u8>> {
    let mut inputs = vec![Vec::new()];
    if let Some(folder) = super::fuzz_folder() {
        let folder = folder.join("corpus").join(target);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        inputs.extend(files.into_iter().map(|file| fs::read(file).unwrap()));
    }
    inputs
}

/// Returns a strategy that changes a committed input up to eight times.
pub(super) fn changed(target: &str) -> impl Strategy<Value = Vec<u8>> {
    let inputs = committed(target);
    (any::<Index>(), vec(change(), 0..8)).prop_map(move |(start, changes)| {
        changes.into_iter().fold(start.get(&inputs).clone(), |input, change| change.apply(input, &inputs))
    })
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    prop_oneof![
        3 => (index(), index()).prop_map(|(at, piece)| Change::Insert(at, piece)),
        1 => (index(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Change::InsertBytes(at, bytes)),
        2 => (index(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        2 => (index(), 1..16_usize).prop_map(|(at, length)| Change::Remove(at, length)),
        1 => (index(), index(), index()).prop_map(|(at, other, from)| Change::Splice(at, other, from)),
        1 => (index(), index(), 1..64_usize).prop_map(|(from, to, times)| Change::Repeat(from, to, times)),
    ]
}

impl Change {
    fn apply(self, mut input: Vec<u8>, others: &[Vec<u8>]) -> Vec<u8> {
        let place = |index: Index, of: &[u8]| index.index(of.len() + 1);
        match self {
            Self::Insert(at, piece) => insert(&mut input, at, piece.get(&PIECES).as_bytes()),
            Self::InsertBytes(at, bytes) => insert(&mut input, at, &bytes),
            Self::Replace(at, byte) => {
                let at = place(at, &input);
                input.get_mut(at).into_iter().for_each(|old| *old = byte);
            }
            Self::Remove(at, length) => {
                let at = place(at, &input);
                let end = (at + length).min(input.len());
                input.drain(at..end);
            }
            Self::Splice(at, other, from) => {
                let other = other.get(others);
                let (at, from) = (place(at, &input), place(from, other));
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            Self::Repeat(from, to, times) => {
                let (from, to) = (place(from, &input), place(to, &input));
                let piece = input[from.min(to)..from.max(to)].repeat(times);
                input.splice(to..to, piece.into_iter().take(1 << 16));
            }
        }
        input
    }
}

fn insert(input: &mut Vec<u8>, at: Index, bytes: &[u8]) {
    let at = at.index(input.len() + 1);
    input.splice(at..at, bytes.iter().copied());
}
