//! The checks that the clocks of this machine and of the nodes agree with that of the API server. Statements carry the times
//! of their senders. A Pod has the clock of its node.

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{ListParams, PostParams};

use crate::engine::Observation;
use crate::output::units::age;
use crate::stack::Stack;

/// Beyond this, statements appear in wrong hours, and a certificate can be not yet valid.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(30);
/// The namespace of the Leases that nodes renew.
const NODE_LEASES: &str = "kube-node-lease";
const REMEDY: &str = "synchronise both with NTP, such as `timedatectl set-ntp true`";

pub async fn of_this_machine(stack: &Stack) -> Result<Observation> {
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
            REMEDY,
        )
    } else {
        Observation::Equal("the clocks agree".into())
    })
}

/// A node writes its own time into its Lease, and the API server writes its own into `managedFields` at the same moment.
pub async fn of_nodes(stack: &Stack) -> Result<Observation> {
    let leases = Api::<Lease>::namespaced(stack.cluster.client.clone(), NODE_LEASES);
    let leases = leases.list(&ListParams::default()).await?.items;
    Ok(match leases.iter().find_map(skew) {
        Some(why) => Observation::blocked(why, REMEDY),
        None => Observation::Equal("the clocks of the nodes agree".into()),
    })
}

/// How far the clock of a node is from that of the API server, in words, when it is too far.
fn skew(lease: &Lease) -> Option<String> {
    let renewed = lease.spec.as_ref()?.renew_time.as_ref()?.0;
    let writes = lease.metadata.managed_fields.iter().flatten();
    let written = writes.filter_map(|field| field.time.as_ref()).map(|time| time.0).max()?;
    let ahead = renewed.duration_since(written);
    let name = lease.metadata.name.as_deref().unwrap_or_default();
    let direction = if ahead.is_positive() { "ahead of" } else { "behind" };
    (ahead.abs() > TOLERANCE).then(|| {
        let skew = age(ahead.unsigned_abs());
        format!("the clock of node {name} is {skew} {direction} that of the API server")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn clock_of_a_node_is_compared_with_the_time_of_its_write() {
        let skew = |renewed: &str| {
            let lease = json!({
                "metadata": {"name": "n", "managedFields": [{"time": "2026-11-29T12:00:00Z"}]},
                "spec": {"renewTime": renewed},
            });
            skew(&serde_json::from_value(lease).unwrap())
        };
        assert_eq!(skew("2026-11-29T12:00:00.900000Z"), None);
        assert_eq!(
            skew("2026-11-29T12:05:00.000000Z").unwrap(),
            "the clock of node n is 5m ahead of that of the API server"
        );
        assert_eq!(
            skew("2026-11-29T11:59:15.000000Z").unwrap(),
            "the clock of node n is 45s behind that of the API server"
        );
    }
}
