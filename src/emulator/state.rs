//! The state of one emulator.

use std::sync::Arc;

use super::clock::Clock;
use super::faults::ActiveFaults;
use super::iam::identities::Identities;
use super::iam::policy::Policy;
use super::journal::Journal;
use crate::own_hosts::OwnHosts;

/// The state that all protocols and the control pages share.
#[derive(Debug)]
pub(crate) struct EmulatorState {
    /// The URL that clients use, without a trailing slash: `http://127.0.0.1:8095`.
    pub(crate) endpoint: String,
    /// The certificate of the authority that signed the TLS certificate.
    pub(crate) ca_pem: String,
    pub(crate) own_hosts: Arc<OwnHosts>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) faults: ActiveFaults,
    pub(crate) journal: Journal,
    pub(crate) identities: Identities,
    /// The policy that a reset restores.
    initial_policy: Option<Policy>,
}

impl EmulatorState {
    /// Returns the state of an emulator that starts now. `policy` must be valid.
    pub(crate) fn new(endpoint: String, own_hosts: OwnHosts, ca_pem: String, policy: Option<Policy>) -> Self {
        let (clock, own_hosts) = (Arc::new(Clock::default()), Arc::new(own_hosts));
        let identities = Identities::new(Arc::clone(&clock), Arc::clone(&own_hosts));
        identities.set_policy(policy.clone());
        Self {
            endpoint,
            own_hosts,
            ca_pem,
            clock,
            faults: ActiveFaults::default(),
            journal: Journal::default(),
            identities,
            initial_policy: policy,
        }
    }

    /// Restores the state at the start, except that keys and refresh tokens stay valid.
    pub(crate) fn reset(&self) {
        self.clock.reset();
        self.identities.forget_tokens();
        self.faults.clear_all();
        self.journal.clear();
        self.identities.set_policy(self.initial_policy.clone());
    }
}
