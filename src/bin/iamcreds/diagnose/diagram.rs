//! A chain as a diagram for people who see one for the first time: the source at the top, the target at the bottom,
//! each arrow with the permission that it needs.

use super::report::{Fix, Report, Source, State};
use crate::terminal::{Colors, printable, shows_unicode};

/// What a principal is called that isn't known.
const UNKNOWN: &str = "the caller";

/// What the terminal can show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    colors: Colors,
    unicode: bool,
}

impl Style {
    pub(super) fn of_stdout() -> Self {
        Self { colors: Colors::of_stdout(), unicode: shows_unicode() }
    }

    fn mark(self, state: State) -> String {
        let [unicode, ascii] = match state {
            State::Works => ["✓ ", "ok"],
            State::Fails => ["✗ ", "NO"],
            State::MayFail => ["? ", "? "],
            State::Unknown => ["· ", "- "],
        };
        let mark = if self.unicode { unicode } else { ascii };
        match state {
            State::Works => self.colors.green(mark),
            State::Fails => self.colors.red(mark),
            State::MayFail => self.colors.yellow(mark),
            State::Unknown => mark.to_owned(),
        }
    }

    const fn line(self) -> char {
        if self.unicode { '│' } else { '|' }
    }

    const fn head(self) -> char {
        if self.unicode { '▼' } else { 'v' }
    }

    /// Returns a text of others as the terminal can show it.
    fn text(self, text: &str) -> String {
        let text = printable(text);
        if self.unicode || text.is_ascii() {
            return text;
        }
        let letter = |letter: char| match letter.is_ascii() {
            true => letter.to_string(),
            false => letter.escape_unicode().to_string(),
        };
        text.chars().map(letter).collect()
    }
}

/// Returns the diagram of a chain, and what to do about it.
pub(super) fn diagram(report: &Report, style: Style) -> String {
    let mut shown = source(&report.source, style);
    for hop in &report.hops {
        let (line, head, mark) = (style.line(), style.head(), style.mark(hop.state));
        let (account, explanation) = (style.text(&hop.account), style.text(&hop.explanation));
        shown += &format!("   {line}\n   {line}  needs {}\n   {head}\n", hop.permission);
        shown += &format!("{mark} {account}: {explanation}\n");
    }
    for (fix, title) in fixes(report) {
        shown += &shown_fix(fix, &title, style);
    }
    shown + "\n" + &verdict(report, style)
}

/// Returns the top of the diagram: whose credentials they are, and where they come from.
fn source(source: &Source, style: Style) -> String {
    let (line, mark) = (style.line(), style.mark(source.state));
    let likely = if source.principal.is_some() && !source.principal_certain { " (likely)" } else { "" };
    let who = style.text(source.principal.as_deref().unwrap_or(UNKNOWN));
    let file = source.file.as_ref().map(|file| format!(", in {}", style.text(file))).unwrap_or_default();
    let mut shown = format!("{mark} {who}{likely}\n   {line}  {}{file}\n", style.text(&source.description));
    if let Some(explanation) = &source.explanation {
        shown += &format!("   {line}  {}\n", style.text(explanation));
    }
    shown
}

/// Returns what to do, the most likely first, each with a title.
fn fixes(report: &Report) -> Vec<(&Fix, String)> {
    let of_source = report.source.fix.iter().map(|fix| (fix, "Fix for the source".to_owned()));
    let of_hops = |state| {
        let hops = report.hops.iter().filter(move |hop| hop.state == state);
        hops.filter_map(|hop| Some((hop.fix.as_ref()?, &hop.account)))
    };
    let likely = of_hops(State::Fails).map(|(fix, account)| (fix, format!("Fix for {account}")));
    let others = of_hops(State::MayFail);
    let others = others.map(|(fix, account)| (fix, format!("If that doesn't help, fix for {account}")));
    of_source.chain(likely).chain(others).collect()
}

/// Returns what to do. The command is in a line of its own.
fn shown_fix(fix: &Fix, title: &str, style: Style) -> String {
    let title = style.colors.bold(&style.text(title));
    let mut shown = format!("\n{title}: {}\n", style.text(&fix.advice));
    let Some(command) = &fix.command else { return shown };
    if let Some(word) = fix.placeholder {
        let by = if word == "MEMBER" { " by the caller, such as user:you@example.com," } else { "" };
        shown += &format!("Replace {word}{by} in this command:\n");
    }
    if !fix.changes {
        shown += "This command changes nothing, and shows more:\n";
    }
    shown += &format!("  {}\n", style.colors.bold(&style.text(command)));
    if command.contains(" providers describe ") {
        shown += "With its output in a file, --provider-description FILE gives certain advice.\n";
    }
    if !fix.member_certain {
        shown += "The member is likely this one: the identity provider's mapping decides.\n";
    }
    if let Some(check) = &fix.check {
        let check = style.colors.bold(&style.text(check));
        shown += &format!(
            "If the grant is there already, the account may be disabled or missing. This shows it:\n  {check}\n"
        );
    }
    shown
}

fn verdict(report: &Report, style: Style) -> String {
    let who = style.text(report.source.principal.as_deref().unwrap_or(UNKNOWN));
    let what = format!("{} {}", report.ability, style.text(report.target()));
    match report.exit() {
        None => format!("{}: {who} can {what}.\n", style.colors.green("Allowed")),
        Some(_) => format!("{}: {who} can't {what} yet.\n", style.colors.red("Not allowed")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Hop;
    use super::*;

    const PLAIN: Style = Style { colors: Colors::none(), unicode: true };
    const ASCII: Style = Style { colors: Colors::none(), unicode: false };

    fn fix(command: &str) -> Fix {
        Fix {
            advice: "grant it".to_owned(),
            command: Some(command.to_owned()),
            changes: true,
            placeholder: None,
            check: None,
            member_certain: true,
        }
    }

    fn hop(account: &str, explanation: &str, state: State) -> Hop {
        Hop {
            account: account.to_owned(),
            permission: "iam.x",
            explanation: explanation.to_owned(),
            state,
            ..Hop::default()
        }
    }

    fn report() -> Report {
        let source = Source {
            description: "a user's login".to_owned(),
            file: Some("/adc.json".to_owned()),
            principal: Some("me@example.com".to_owned()),
            principal_certain: true,
            ..Source::default()
        };
        let hops = vec![
            Hop { fix: Some(fix("gcloud other")), ..hop("a@p", "likely allowed", State::MayFail) },
            Hop { fix: Some(fix("gcloud first")), ..hop("b@p", "likely missing: x", State::Fails) },
            hop("t@p", "not known", State::Unknown),
        ];
        Report { source, hops, ability: "sign bytes as", ..Report::default() }
    }

    /// conf: I50
    #[test]
    fn a_diagram_has_the_source_at_the_top_a_mark_for_each_hop_and_the_likeliest_fix_first() {
        let expected = "\
✓  me@example.com
   │  a user's login, in /adc.json
   │
   │  needs iam.x
   ▼
?  a@p: likely allowed
   │
   │  needs iam.x
   ▼
✗  b@p: likely missing: x
   │
   │  needs iam.x
   ▼
·  t@p: not known

Fix for b@p: grant it
  gcloud first

If that doesn't help, fix for a@p: grant it
  gcloud other

Allowed: me@example.com can sign bytes as t@p.
";
        assert_eq!(diagram(&report(), PLAIN), expected);
    }

    /// conf: I50
    #[test]
    fn a_terminal_without_unicode_gets_ascii_and_no_text_of_others_controls_it() {
        let hostile = "é\n\u{1b}[2J\u{202e}\u{9b}x";
        let mut report = report();
        report.source.principal = Some(hostile.to_owned());
        report.source.description = hostile.to_owned();
        report.source.file = Some(hostile.to_owned());
        report.source.explanation = Some(hostile.to_owned());
        for hop in &mut report.hops {
            hop.account = hostile.to_owned();
            hop.explanation = hostile.to_owned();
            if let Some(fix) = &mut hop.fix {
                (fix.advice, fix.command) = (hostile.to_owned(), Some(hostile.to_owned()));
            }
        }
        let shown = diagram(&report, ASCII);
        assert!(
            shown.is_ascii() && !shown.contains(|letter: char| letter != '\n' && letter.is_control()),
            "{shown:?}"
        );
        assert!(shown.contains(r"\u{e9}\u{a}\u{1b}[2J\u{202e}\u{9b}x"), "{shown}");
        let lines = diagram(&super::tests::report(), PLAIN).lines().count();
        assert_eq!(
            shown.lines().count(),
            lines + 1,
            "only the explanation of the source is a line more: {shown}"
        );
        assert!(!diagram(&report, PLAIN).contains(['\u{1b}', '\u{202e}', '\u{9b}']));
    }

    #[test]
    fn what_a_person_has_to_know_about_a_command_is_said() {
        let unsure = Fix {
            placeholder: Some("MEMBER"),
            changes: false,
            check: Some("gcloud look".to_owned()),
            member_certain: false,
            ..fix("gcloud x providers describe p")
        };
        let shown = shown_fix(&unsure, "Fix", PLAIN);
        for part in [
            "Replace MEMBER by the caller",
            "changes nothing",
            "--provider-description FILE",
            "likely",
            "\n  gcloud look\n",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert_eq!(shown_fix(&fix("gcloud x"), "Fix", PLAIN), "\nFix: grant it\n  gcloud x\n");
    }
}
