//! Transcripts of terminals in pages, to be run by tests.

/// Returns the commands of a page, each with the output that the page shows.
pub(crate) fn transcripts(page: &str) -> Vec<(String, String)> {
    let mut list: Vec<(String, String)> = Vec::new();
    for block in page.split("```console\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        let mut in_command = false;
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                list.push((command.to_owned(), String::new()));
                in_command = true;
            } else {
                let (command, output) = list.last_mut().expect("a block starts with a command");
                // Indented lines continue the command, until its output starts.
                in_command = in_command && line.starts_with("    ");
                let into = if in_command { command } else { output };
                into.push('\n');
                into.push_str(line);
            }
        }
    }
    list
}

/// Returns whether `actual` matches `shown`, in which `…` matches any text.
pub(crate) fn is_like(shown: &str, actual: &str) -> bool {
    let mut parts = shown.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = actual.strip_prefix(first) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
