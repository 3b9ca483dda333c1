//! The transcripts in `docs/emulator.md` and `docs/emulator-reference.md`, run against an emulator.

use std::process::Command;

use gcp_iam_credentials::emulator::{Emulator, Policy};

use crate::support::transcripts::{is_like, transcripts};

const PAGE: &str = include_str!("../../docs/emulator.md");
const REFERENCE: &str = include_str!("../../docs/emulator-reference.md");
const POLICY: &str = include_str!("../../docs/policy.json");
const COMPLETE: &str = include_str!("../../docs/policy_complete.json");

/// Returns whether the commands of the page can run: a Rust toolchain doesn't include these programs.
fn has_shell_and_curl() -> bool {
    let works =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|it| it.status.success());
    works("bash") && works("curl")
}

#[tokio::test]
async fn the_transcripts_in_the_documentation_are_accurate() {
    if !has_shell_and_curl() {
        eprintln!("not run: bash or curl is missing");
        return;
    }
    // Each page begins anew.
    for (page, policy, at_least) in [(PAGE, POLICY, 2), (REFERENCE, COMPLETE, 20)] {
        run_transcripts(page, policy, at_least).await;
    }
}

async fn run_transcripts(page: &str, policy: &str, at_least: usize) {
    let emulator = Emulator::builder().policy(Policy::from_json(policy).unwrap()).start().await.unwrap();
    let transcripts = transcripts(page);
    assert!(transcripts.len() >= at_least, "{transcripts:?}");
    for (command, shown) in transcripts {
        let command = command.replace("http://127.0.0.1:8095", emulator.endpoint());
        let output = Command::new("bash").args(["-c", &command]).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        let actual = String::from_utf8(output.stdout).unwrap();
        assert!(is_like(shown.trim(), actual.trim()), "{command}\nshown: {shown}\nactual: {actual}");
    }
}

#[test]
fn the_policies_in_the_documentation_are_valid() {
    let blocks = REFERENCE.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let policies: Vec<&str> = blocks.filter(|block| block.contains("\"identityPools\"")).collect();
    assert!(policies.len() >= 3, "{policies:?}");
    for policy in policies {
        Policy::from_json(policy).unwrap_or_else(|error| panic!("{error}: {policy}"));
    }
}

/// The page leads from an error to a step. Each of these steps must be there, and each recipe must have all of its own.
#[test]
fn the_errors_in_the_documentation_lead_to_steps_that_exist() {
    let (_, table) = PAGE.split_once("| You see |").unwrap();
    let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 8, "{rows:?}");
    for row in rows {
        let (_, step) = row.split_once("| step").unwrap_or_else(|| panic!("no step: {row}"));
        let step: u32 = step.trim_start_matches('s').split_whitespace().next().unwrap().parse().unwrap();
        let heading = if step < 5 { format!("### Step {step}: ") } else { format!("Step {step}. ") };
        assert!(PAGE.contains(&heading), "{heading}: {row}");
    }
    let (_, recipes) = PAGE.split_once("## Recipes").unwrap();
    let (recipes, _) = recipes.split_once("## If it doesn't work").unwrap();
    let recipes: Vec<&str> = recipes.split("\n### ").skip(1).collect();
    assert!(recipes.len() >= 8, "{} recipes", recipes.len());
    for recipe in recipes {
        for part in ["What needs TLS: ", "\nStep 5. ", "\nStep 6. ", "\nStep 7. ", "\nStep 8. "] {
            assert!(recipe.contains(part), "{part:?}: {recipe}");
        }
    }
}

#[test]
fn an_ellipsis_in_a_transcript_matches_any_text() {
    for (shown, actual, like) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a…", "abc", true),
        ("a…c", "abc", true),
        ("a…c", "abcd", false),
        ("a…b…c", "a-b-c", true),
        ("a…b…c", "a-c", false),
    ] {
        assert_eq!(is_like(shown, actual), like, "{shown} {actual}");
    }
}
