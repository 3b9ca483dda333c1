//! The journal's entry of a request in progress.

use std::sync::Arc;

use tonic::Code;

use crate::emulator::error::{ApiError, INVALID_SIGNATURE};
use crate::emulator::journal::{Journal, JournalEntry, Outcome};

/// Completes a journal entry, even if the request is dropped before its reply.
#[derive(Debug)]
pub(crate) struct JournalRecord<'a> {
    journal: &'a Journal,
    sequence: u64,
    principal: Option<Arc<str>>,
    by_fault: bool,
    finished: bool,
}

impl<'a> JournalRecord<'a> {
    pub(super) fn new(journal: &'a Journal, sequence: u64) -> Self {
        Self { journal, sequence, principal: None, by_fault: false, finished: false }
    }

    pub(crate) fn set_principal(&mut self, principal: &Arc<str>) {
        self.principal = Some(Arc::clone(principal));
    }

    pub(super) fn set_by_fault(&mut self) {
        self.by_fault = true;
    }

    /// Writes the outcome: success, or `error`.
    pub(crate) fn finish(mut self, error: Option<&ApiError>) {
        self.write(Outcome {
            code: error.map_or(Code::Ok, ApiError::code),
            reason: error.and_then(ApiError::reason).map(str::to_owned),
            message: error.map(|error| error.message().to_owned()),
            hop: error.and_then(ApiError::hop),
            by_fault: self.by_fault,
        });
    }

    /// Writes the outcome of a request that fails with an OAuth error.
    pub(crate) fn finish_with_oauth_error(mut self, code: Code, error: &str, description: &str) {
        self.write(Outcome {
            code,
            reason: Some(error.to_owned()),
            message: Some(description.to_owned()),
            hop: None,
            by_fault: self.by_fault,
        });
    }

    fn write(&mut self, outcome: Outcome) {
        self.finished = true;
        let principal = self.principal.take();
        let logged = tracing::enabled!(tracing::Level::INFO);
        let mut finished = None;
        self.journal.update(self.sequence, |entry| {
            entry.principal = principal;
            entry.outcome = Some(outcome);
            finished = logged.then(|| entry.clone());
        });
        // Outside the journal's lock, because a subscriber may be slow.
        if let Some(entry) = finished {
            log(&entry);
        }
    }
}

impl Drop for JournalRecord<'_> {
    fn drop(&mut self) {
        if !self.finished {
            let by_fault = self.by_fault;
            self.write(Outcome {
                code: Code::Cancelled,
                reason: None,
                message: Some("the client disconnected before the reply".to_owned()),
                hop: None,
                by_fault,
            });
        }
    }
}

fn log(entry: &JournalEntry) {
    let JournalEntry { method, name, principal, outcome: Some(outcome), .. } = entry else { return };
    let Outcome { code, reason, hop, by_fault, .. } = outcome;
    tracing::info!(
        %method, name, principal = principal.as_deref(), ?code, reason, hop, fault = by_fault, fix = fix(outcome),
        "a request to the emulator"
    );
}

/// Returns advice for a refusal. It is only for the log, because Google's replies have none.
fn fix(outcome: &Outcome) -> Option<&'static str> {
    if outcome.by_fault {
        return None;
    }
    match (outcome.reason.as_deref()?, outcome.message.as_deref().unwrap_or_default()) {
        ("ACCESS_TOKEN_TYPE_UNSUPPORTED", _) => Some(
            "the token is neither one that this emulator issued nor in its policy: fetch the credential file from \
             this emulator, or add the token to `tokens` in the policy",
        ),
        ("CREDENTIALS_MISSING", _) => Some("send the header `Authorization: Bearer TOKEN`"),
        ("IAM_PERMISSION_DENIED", _) => Some(
            "add a grant to the policy, or with POST /emulator/grants; POST /emulator/check says which one is missing",
        ),
        ("invalid_grant", INVALID_SIGNATURE) => Some(
            "the key isn't one of this emulator: fetch the key file again, because each run makes new keys",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::method::Method;

    #[test]
    fn a_refusal_that_a_step_left_out_explains_has_advice() {
        let outcome = |reason: &str, message: &str, by_fault| Outcome {
            code: Code::PermissionDenied,
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            hop: None,
            by_fault,
        };
        let called = Method::SignBlob.into();
        for (error, part) in [
            (ApiError::unsupported_token(called), "`tokens` in the policy"),
            (ApiError::credentials_missing(called), "Authorization"),
            (ApiError::permission_denied("iam.serviceAccounts.signBlob", 0), "/emulator/grants"),
        ] {
            let reason = error.reason().unwrap();
            let advice = fix(&outcome(reason, error.message(), false)).expect(reason);
            assert!(advice.contains(part), "{advice}");
            let by_fault = outcome(reason, error.message(), true);
            assert_eq!(fix(&by_fault), None, "a fault isn't a mistake of the user");
        }
        let advice = fix(&outcome("invalid_grant", INVALID_SIGNATURE, false)).unwrap();
        assert!(advice.contains("fetch the key file again"), "{advice}");
        assert_eq!(fix(&outcome("invalid_grant", "Token has been expired or revoked.", false)), None);
    }
}
