//! The lines that two listings don't share.

use std::collections::BTreeMap;

/// Lines that are gone start with `-`, new ones with `+`.
pub fn between(old: &str, new: &str) -> Vec<String> {
    let mut counts: BTreeMap<&str, i32> = BTreeMap::new();
    old.lines().for_each(|line| *counts.entry(line).or_default() -= 1);
    new.lines().for_each(|line| *counts.entry(line).or_default() += 1);
    let marked = |(line, count): (&str, i32)| match count {
        0 => None,
        1.. => Some(format!("+{line}")),
        _ => Some(format!("-{line}")),
    };
    counts.into_iter().filter_map(marked).collect()
}

#[cfg(test)]
mod tests {
    use super::between;

    #[test]
    fn equal_listings_have_no_difference() {
        assert!(between("a\nb\n", "a\nb\n").is_empty());
    }

    #[test]
    fn lines_that_are_gone_and_new_ones_are_marked() {
        assert_eq!(between("a\nb\nb\n", "b\nc\n"), ["-a", "-b", "+c"]);
    }
}
