//! The search for the hop that fails.

use super::Operation;
use super::probe::Probe;
use crate::error::RefusalCause;
use crate::{Error, ErrorKind, roles};

/// The hop that fails, as far as the calls of a diagnosis can tell.
pub(super) struct FailingHop {
    pub(super) index: usize,
    pub(super) certain: bool,
    /// The hop that fails if it isn't the other one.
    pub(super) alternative: Option<usize>,
}

impl FailingHop {
    const fn certain(index: usize) -> Self {
        Self { index, certain: true, alternative: None }
    }
}

/// Finds the hop that fails, given that the operation on the target fails with `error`.
///
/// # Errors
///
/// The failure that ends the search: nothing is known about any hop then.
pub(super) async fn failing_hop(
    probe: &Probe<'_>,
    operation: Operation,
    error: &Error,
) -> Result<FailingHop, Error> {
    if says_nothing(error) {
        return Err(error.clone());
    }
    match error.refusal() {
        Some(RefusalCause::MissingRole { .. }) => {
            Ok(Survey::of(probe, operation, error).await?.failing_hop(probe.last()))
        }
        _ => {
            let index = first_with_cause_of(probe, error).await?;
            Ok(FailingHop::certain(index.unwrap_or(probe.last())))
        }
    }
}

/// Whether a failed call says nothing about the accounts: it was none of the service's replies, or one
/// that may be another one a moment later.
fn says_nothing(error: &Error) -> bool {
    error.kind() != ErrorKind::Service || error.is_transient()
}

/// Returns the first delegate whose access tokens are refused for the same reason as the operation.
async fn first_with_cause_of(probe: &Probe<'_>, refused: &Error) -> Result<Option<usize>, Error> {
    for hop in 0..probe.last() {
        match probe.call(Operation::AccessToken, hop).await {
            Err(error) if says_nothing(&error) => return Err(error),
            Err(error) if error.refusal() == refused.refusal() && error.code() == refused.code() => {
                return Ok(Some(hop));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// What the calls show, from the target back to the first account on which one succeeds.
///
/// A call that succeeds proves that all hops before its account may be used as delegates. A call that
/// fails doesn't tell which hop it fails on, unless the service names `implicitDelegation`.
struct Survey {
    reached: Option<Reached>,
    /// The account nearest to the caller whose call fails since an earlier hop lacks
    /// `implicitDelegation`, as the service says.
    not_delegated: Option<usize>,
}

/// The hop nearest to the target over which a call succeeds.
struct Reached {
    hop: usize,
    /// Whether all calls succeed, as with the role Token Creator, which includes `implicitDelegation`.
    with_all: bool,
}

impl Survey {
    /// `error` is the failure of the operation on the target.
    ///
    /// # Errors
    ///
    /// The failure that ends the survey.
    async fn of(probe: &Probe<'_>, operation: Operation, error: &Error) -> Result<Self, Error> {
        let mut survey = Self { reached: None, not_delegated: None };
        survey.note_refusal(probe.last(), error);
        for hop in (0..=probe.last()).rev() {
            let failed_before = (hop == probe.last()).then_some(operation);
            let mut succeeded = 0;
            let calls = Operation::ALL.into_iter().filter(|call| Some(*call) != failed_before);
            for call in calls {
                match probe.call(call, hop).await {
                    Ok(()) => succeeded += 1,
                    Err(error) if says_nothing(&error) => return Err(error),
                    Err(error) => survey.note_refusal(hop, &error),
                }
            }
            if succeeded > 0 {
                survey.reached = Some(Reached { hop, with_all: succeeded == Operation::ALL.len() });
                break;
            }
        }
        Ok(survey)
    }

    fn note_refusal(&mut self, hop: usize, error: &Error) {
        let refusal = error.refusal();
        if refusal.as_ref().and_then(RefusalCause::permission) == Some(roles::IMPLICIT_DELEGATION) {
            self.not_delegated = Some(hop);
        }
    }

    fn failing_hop(&self, last: usize) -> FailingHop {
        if let Some(before) = self.not_delegated.and_then(|hop| hop.checked_sub(1)) {
            return FailingHop::certain(before);
        }
        match &self.reached {
            Some(reached) if reached.hop == last => FailingHop::certain(last),
            None if last == 0 => FailingHop::certain(last),
            None => FailingHop { index: 0, certain: false, alternative: None },
            // Either the next hop has no grant, or this one may not be used as a delegate.
            Some(Reached { hop, with_all }) => {
                let (index, other) = if *with_all { (hop + 1, *hop) } else { (*hop, hop + 1) };
                FailingHop { index, certain: false, alternative: Some(other) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: A11
    #[test]
    fn the_failing_hop_follows_from_the_calls_that_succeed() {
        let reached = |hop, with_all| Some(Reached { hop, with_all });
        for (reached, not_delegated, expected) in [
            // The service names `implicitDelegation`.
            (reached(1, false), Some(2), (1, true, None)),
            (None, Some(1), (0, true, None)),
            // Another operation succeeds on the target.
            (reached(3, false), None, (3, true, None)),
            // The last delegate that can be reached has all permissions, or a part of them.
            (reached(2, true), None, (3, false, Some(2))),
            (reached(1, false), None, (1, false, Some(2))),
            (None, None, (0, false, None)),
        ] {
            let FailingHop { index, certain, alternative } = Survey { reached, not_delegated }.failing_hop(3);
            assert_eq!((index, certain, alternative), expected);
        }
        let single = Survey { reached: None, not_delegated: None }.failing_hop(0);
        assert_eq!((single.index, single.certain), (0, true));
    }
}
