//! The kinds of faults.

use std::fmt;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::random::Random;
use crate::remote::Remote;
use crate::server::USER;
use crate::{Failure, IDENTITIES, target};

/// What is broken in an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    /// Nothing: the time between two episodes.
    Nothing,
    /// IAM replies with a status that may pass.
    Unavailable,
    /// IAM and the token endpoint reject tokens.
    Unauthenticated,
    /// IAM replies with a status that doesn't pass by itself.
    Denied,
    Delay,
    Hang,
    Reset,
    StallBody,
    Truncate,
    GoAway,
    Drain,
    Html,
    BadDetails,
    /// IAM's clock is wrong.
    Skew,
    /// The grants of some identities are revoked.
    Revoke,
    /// IAM forgets all tokens, so the API rejects them.
    Forget,
    /// The API rejects every token.
    Reject,
    /// The process stops without closing its connections, and goes on.
    Freeze,
    /// The process is killed and restarted.
    Kill,
}

impl Fault {
    pub(crate) const ALL: [Self; 18] = [
        Self::Unavailable,
        Self::Unauthenticated,
        Self::Denied,
        Self::Delay,
        Self::Hang,
        Self::Reset,
        Self::StallBody,
        Self::Truncate,
        Self::GoAway,
        Self::Drain,
        Self::Html,
        Self::BadDetails,
        Self::Skew,
        Self::Revoke,
        Self::Forget,
        Self::Reject,
        Self::Freeze,
        Self::Kill,
    ];

    /// Returns whether the fault makes a server reject tokens that it has issued.
    pub(crate) fn rejects_tokens(self) -> bool {
        matches!(self, Self::Unauthenticated | Self::Forget | Self::Reject | Self::Kill)
    }

    /// Returns whether a server refuses a request, or says that a token is wrong. All other faults pass.
    pub(crate) fn refuses(self) -> bool {
        let refuses = [Self::Denied, Self::Revoke, Self::BadDetails];
        self.rejects_tokens() || refuses.contains(&self)
    }

    /// Returns whether connections can be lost, and with them replies to other requests.
    pub(crate) fn breaks_connections(self) -> bool {
        matches!(self, Self::Reset | Self::GoAway | Self::Freeze | Self::Kill)
    }

    /// Applies the fault for about `length`, and ends it.
    pub(crate) async fn apply(
        self,
        remote: &mut Remote,
        random: &mut Random,
        length: Duration,
    ) -> Result<(), Failure> {
        match self {
            Self::Nothing => sleep(length).await,
            Self::Skew => {
                let skew = random.within(0..2 * SKEW_MS + 1) as f64 / 1000.0 - SKEW_MS as f64 / 1000.0;
                remote.control(Method::POST, "clock", &json!({ "skew": format!("{skew:.3}s") })).await?;
                sleep(length).await;
                remote.control(Method::POST, "clock", &json!({ "skew": "0s" })).await?;
            }
            Self::Revoke => revoke(remote, random, length).await?,
            Self::Forget => {
                remote.control(Method::POST, "reset", &Value::Null).await?;
            }
            Self::Reject => {
                remote.command("reject").await?;
                sleep(length).await;
                remote.command("accept").await?;
            }
            Self::Freeze => {
                remote.signal("STOP").await?;
                sleep(length).await;
                remote.signal("CONT").await?;
            }
            Self::Kill => {
                remote.kill().await?;
                sleep(random.millis(0..2001)).await;
                remote.restart().await?;
            }
            _ => {
                remote.control(Method::POST, "faults", &self.document(random)).await?;
                sleep(length).await;
                remote.control(Method::DELETE, "faults", &Value::Null).await?;
            }
        }
        Ok(())
    }

    /// Returns the document that injects the fault into the emulator.
    fn document(self, random: &mut Random) -> Value {
        let share = *random.choose(&[0.3, 0.6, 1.0]);
        let millis = random.millis(100..1501).as_millis();
        let delay = format!("{}.{:03}s", millis / 1000, millis % 1000);
        match self {
            Self::Unavailable => match random.choose(&["UNAVAILABLE", "INTERNAL", "RESOURCE_EXHAUSTED"]) {
                code @ &"RESOURCE_EXHAUSTED" => {
                    json!({"effect": "status", "code": code, "retryDelay": "0.3s", "share": share})
                }
                code => json!({"effect": "status", "code": code, "share": share}),
            },
            Self::Unauthenticated => json!({"effect": "status", "code": "UNAUTHENTICATED", "share": share}),
            Self::Denied => json!({"effect": "status", "code": "PERMISSION_DENIED", "share": share}),
            Self::Delay => json!({"effect": "delay", "delay": delay, "share": share}),
            Self::Hang => json!({"effect": "hang", "share": share}),
            Self::Html => json!({"effect": "html", "httpStatus": 503, "share": share}),
            other => json!({"effect": other.to_string(), "share": share}),
        }
    }
}

/// How far IAM's clock may be wrong, in milliseconds.
pub(crate) const SKEW_MS: u64 = 800;

/// Revokes the grants of about half of the identities, and grants them again.
async fn revoke(remote: &Remote, random: &mut Random, length: Duration) -> Result<(), Failure> {
    let revoked: Vec<usize> = (0..IDENTITIES).filter(|_| random.within(0..2) == 0).collect();
    let grant = |index: usize| {
        json!({"member": format!("user:{USER}"), "role": "roles/iam.serviceAccountTokenCreator",
            "serviceAccount": target(index)})
    };
    for index in &revoked {
        remote.control(Method::DELETE, "grants", &grant(*index)).await?;
    }
    sleep(length).await;
    for index in &revoked {
        remote.control(Method::POST, "grants", &grant(*index)).await?;
    }
    Ok(())
}

impl fmt::Display for Fault {
    /// Writes the name, as the control pages write it for the emulator's faults.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{self:?}");
        f.pad(&format!("{}{}", name[..1].to_lowercase(), &name[1..]))
    }
}
