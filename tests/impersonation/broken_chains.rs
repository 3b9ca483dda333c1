//! Every chain with one broken grant: the diagnosis and the advice of the errors, carried out.

mod chain;
mod gcloud;
mod other_causes;

use gcp_iam_credentials::diagnosis::{DiagnosedHop, Finding, Operation};
use gcp_iam_credentials::emulator::{MiddleHop, Role};

use self::chain::{Chain, OPERATIONS, PERMISSIONS, World};

/// The names that the service may give to a permission that is missing for a delegate.
const NAMINGS: [MiddleHop; 2] = [MiddleHop::ImplicitDelegation, MiddleHop::Action];

/// What is left of a grant of Token Creator.
enum Left {
    Nothing,
    Predefined(Role),
    /// A role with these permissions.
    Custom(Vec<&'static str>),
}

impl Left {
    fn predefined() -> [Self; 3] {
        let weaker = Self::Predefined;
        [Self::Nothing, weaker(Role::OPENID_TOKEN_CREATOR), weaker(Role::WORKLOAD_IDENTITY_USER)]
    }

    /// Roles with one permission, and roles with all except one.
    fn custom() -> impl Iterator<Item = Self> {
        let all_except = |left_out| PERMISSIONS.into_iter().filter(move |permission| *permission != left_out);
        let roles = PERMISSIONS.map(|one| [vec![one], all_except(one).collect()]);
        roles.into_iter().flatten().map(Self::Custom)
    }
}

/// conf: A11, A12, I11
#[tokio::test]
async fn the_diagnosis_finds_every_broken_grant_and_its_command_fixes_the_chain() {
    for naming in NAMINGS {
        let world = World::start(naming).await;
        for length in 1..=4 {
            for (broken, left) in (0..length).flat_map(|hop| Left::predefined().map(|left| (hop, left))) {
                let chain = world.chain(length);
                chain.break_grant(broken, &left);
                // The operations differ in the grant on the target, so long chains need only two of them.
                let operations = if length <= 2 { &OPERATIONS[..] } else { &OPERATIONS[..2] };
                for &operation in operations {
                    check(&chain, broken, operation, true).await;
                }
            }
        }
    }
}

/// conf: A11, A12
#[tokio::test]
async fn with_custom_roles_the_broken_grant_is_among_the_candidates() {
    for naming in NAMINGS {
        let world = World::start(naming).await;
        for length in 1..=2 {
            for (broken, left) in (0..length).flat_map(|hop| Left::custom().map(move |left| (hop, left))) {
                let chain = world.chain(length);
                chain.break_grant(broken, &left);
                for operation in [Operation::AccessToken, Operation::SignJwt] {
                    check(&chain, broken, operation, false).await;
                }
            }
        }
    }
}

/// Diagnoses an operation on a chain, one hop of which may be broken. `first` is whether the most
/// likely hop must be the broken one.
async fn check(chain: &Chain<'_>, broken: usize, operation: Operation, first: bool) {
    let failure = chain.run(operation).await.err();
    let diagnosis = chain.acting().diagnose(operation).await.unwrap();
    let case = format!("{chain:?}, {operation:?}, broken: {broken}\n{diagnosis}");
    assert_eq!(diagnosis.is_allowed(), failure.is_none(), "{case}");
    let Some(failure) = failure else {
        assert_eq!(diagnosis.candidates().count(), 0, "{case}");
        return;
    };
    let candidates: Vec<&DiagnosedHop> = diagnosis.candidates().collect();
    let at = candidates.iter().position(|hop| hop.account() == chain.account(broken));
    let at = at.unwrap_or_else(|| panic!("the broken hop is no candidate: {case}"));
    assert!(at == 0 || !first, "{case}");
    let Finding::MissingRole { certain, .. } = candidates[0].finding() else { panic!("{case}") };
    assert_eq!(*certain, candidates.len() == 1 && !diagnosis.to_string().contains("likely"), "{case}");
    for (index, hop) in candidates.into_iter().enumerate() {
        let fix = hop.fix().unwrap();
        let command = fix.command().unwrap();
        assert!(diagnosis.to_string().contains(command), "{case}");
        assert_eq!(chain.is_fixed_by(command, operation).await, index == at, "{command}: {case}");
    }
    check_advice(chain, operation, &failure.hint().unwrap()).await;
}

/// The advice of the error fixes the chain too, or names the grants of the whole chain.
async fn check_advice(chain: &Chain<'_>, operation: Operation, advice: &str) {
    match advice.find("gcloud ") {
        Some(start) => {
            let command = advice[start..].split(" (").next().unwrap();
            assert!(chain.is_fixed_by(command, operation).await, "{chain:?}: {advice}");
        }
        None => {
            assert!(advice.contains("Impersonation::diagnose"), "{advice}");
            let grants = chain.grants().map(|(member, account)| format!("on {account} for {member}"));
            let named = grants.filter(|grant| advice.contains(grant)).count();
            assert!(named >= chain.len() - 1, "{chain:?}: {advice}");
        }
    }
    let wrong = format!("on {} for user:", chain.account(chain.len() - 1));
    assert!(chain.len() == 1 || !advice.contains(&wrong), "{advice}");
}
