//! The properties with the committed inputs of the fuzz targets, and with random changes of them.

mod inputs;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};

/// How many changed inputs a test tries. `PROPTEST_CASES` overrides it.
const CASES: u32 = 256;

/// One module of tests for each fuzz target.
macro_rules! targets {
    ($($target:ident),* $(,)?) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),*];

        $(mod $target {
            #[test]
            fn holds_for_the_committed_inputs() {
                super::inputs::committed(stringify!($target)).iter().for_each(|input| super::super::$target(input));
            }

            #[test]
            fn holds_for_changed_inputs() {
                super::try_changed_inputs(stringify!($target), super::super::$target);
            }
        })*
    };
}

targets! {
    assertions,
    broker_policies,
    claims,
    control_documents,
    credential_files,
    federated_tokens,
    grpc_timeouts,
    hosts,
    iam_api_requests,
    id_tokens,
    metadata_pages,
    names,
    policies,
    printed_commands,
    replies,
    rest_bodies,
    rest_queries,
    scopes,
    statuses,
    token_exchanges,
    token_replies,
    trace_contexts,
}

fn try_changed_inputs(target: &str, property: fn(&[u8])) {
    let default = Config::default();
    let cases = std::env::var_os("PROPTEST_CASES").map_or(CASES, |_| default.cases);
    let config = Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..default };
    let outcome = TestRunner::new(config).run(&inputs::changed(target), |input| {
        property(&input);
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, input)) => panic!("{target}: \"{}\": {reason}", input.escape_ascii()),
        Err(error) => panic!("{target}: {error}"),
    }
}

/// `fuzz/`, which a package of the crate doesn't contain.
fn fuzz_folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    folder.exists().then_some(folder)
}

#[test]
fn each_property_has_a_fuzz_target_and_inputs() {
    let Some(folder) = fuzz_folder() else { return };
    let expected: BTreeSet<String> = TARGETS.iter().map(|target| (*target).to_owned()).collect();
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
        entries
            .map(|entry| Path::new(&entry.unwrap().file_name()).file_stem().unwrap().display().to_string())
            .collect()
    };
    for part in ["fuzz_targets", "corpus"] {
        assert_eq!(names(&folder.join(part).display().to_string()), expected, "fuzz/{part}");
    }
}
