//! Checks what the form of a document doesn't say.

use super::grant::Grant;
use super::{Policy, PolicyError};
use crate::Error;
use crate::client::checked_lifetime;
use crate::document::Mistake;
use crate::scopes::check::checked_scopes;

impl Policy {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        for (index, peer) in self.peers.iter().enumerate() {
            if peer.anyone || (peer.principal.is_none() && peer.uid.is_none()) {
                let problem = "must have `principal` or `uid`: a peer may claim to be any caller";
                return Err(Mistake::new(format!("peers[{index}]"), problem).into());
            }
        }
        for (index, grant) in self.grants.iter().enumerate() {
            grant.check().map_err(|mistake| mistake.inside(&format!("grants[{index}]")))?;
        }
        Ok(())
    }
}

impl Grant {
    fn check(&self) -> Result<(), Mistake> {
        self.check_callers()?;
        if self.targets.is_empty() {
            return Err(Mistake::new("targets", "must name at least one account"));
        }
        if self.scopes.is_empty() && self.audiences.is_empty() {
            return Err(Mistake::new("scopes", "a grant must have at least one scope or audience"));
        }
        if !self.scopes.is_empty() {
            checked_scopes(&self.scopes).map_err(|error| mistake(&error))?;
        }
        self.lifetime
            .map_or(Ok(()), |lifetime| checked_lifetime(lifetime).map(drop).map_err(|error| mistake(&error)))
    }

    fn check_callers(&self) -> Result<(), Mistake> {
        if self.callers.is_empty() {
            return Err(Mistake::new("callers", "must name at least one caller"));
        }
        for (index, caller) in self.callers.iter().enumerate() {
            let problem = if caller.is_empty() {
                "must have `principal`, `source` or `uid`, or `anyone` if it is for all callers"
            } else if caller.anyone && caller.limits() {
                "is for all callers, so it must have nothing else"
            } else {
                continue;
            };
            return Err(Mistake::new(format!("callers[{index}]"), problem));
        }
        Ok(())
    }
}

/// Returns what is wrong with a field that `error` names.
fn mistake(error: &Error) -> Mistake {
    let field = error.field().unwrap_or_default();
    let text = error.without_advice().to_string();
    let problem = text.strip_prefix(&format!("invalid `{field}`: ")).unwrap_or(&text);
    Mistake::new(field, problem)
}
