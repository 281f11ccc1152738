//! The check that this machine's clock agrees with the cluster's. Statements carry the times of their senders.

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::Api;
use kube::api::PostParams;

use crate::engine::Observation;
use crate::output::units::age;
use crate::stack::Stack;

/// Beyond this, statements appear in wrong hours, and a certificate can be not yet valid.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(30);

pub async fn check(stack: &Stack) -> Result<Observation> {
    // the API server stamps a review with its time, in whole seconds
    let reviews = Api::<SelfSubjectReview>::all(stack.cluster.client.clone());
    let before = Timestamp::now();
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .context("cannot read the time of the API server")?;
    let after = Timestamp::now();
    let Some(stamped) = review.metadata.creation_timestamp else {
        return Ok(Observation::Equal("the API server gives no time".into()));
    };
    let behind = before.duration_since(stamped.0) - SignedDuration::from_secs(1);
    let ahead = stamped.0.duration_since(after);
    let skew = behind.max(ahead);
    Ok(if skew > TOLERANCE {
        let (skew, direction) =
            (age(skew.unsigned_abs()), if ahead > behind { "behind" } else { "ahead of" });
        Observation::blocked(
            format!("the clock of this machine is {skew} {direction} that of the API server"),
            "synchronise both with NTP, such as `timedatectl set-ntp true`",
        )
    } else {
        Observation::Equal("the clocks agree".into())
    })
}
