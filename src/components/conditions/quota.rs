//! The check that the quotas and limits of the namespace have room for the Pods of the stack.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::api::core::v1::{LimitRange, Pod, ResourceQuota};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::ListParams;

use crate::components::model::Components;
use crate::components::preflight::room;
use crate::engine::Observation;
use crate::stack::Stack;
use crate::stack::resources::Resources;

type Amounts = BTreeMap<String, Quantity>;

/// A resource that quotas and limits name.
struct Named {
    name: &'static str,
    value: fn(Resources) -> i64,
    shown: fn(i64) -> String,
}

const LIMITED: [Named; 2] = [
    Named {
        name: "cpu",
        value: |resources| resources.millicores,
        shown: |millicores| format!("{:.1} cores", millicores as f64 / 1000.0),
    },
    Named {
        name: "memory",
        value: |resources| resources.memory_bytes,
        shown: |bytes| format!("{:.1} Gi of memory", bytes as f64 / f64::from(1 << 30)),
    },
];

impl Named {
    /// The amount under one of its names in a list. None: the list does not limit it.
    fn in_list(&self, list: &Amounts) -> Option<i64> {
        let requests = format!("requests.{}", self.name);
        let amount = list.get(&requests).or_else(|| list.get(self.name))?;
        Some((self.value)(Resources::of(Some(amount), Some(amount))))
    }

    /// What is wanted and what is left, in words, when it is too little.
    fn shortage(&self, wanted: Resources, left: i64) -> Option<(String, String)> {
        let wanted = (self.value)(wanted);
        (wanted > left).then(|| ((self.shown)(wanted), (self.shown)(left.max(0))))
    }
}

pub async fn check(stack: &Stack, components: Components) -> Result<Observation> {
    let everything = ListParams::default();
    let (quotas, ranges, pods) = (stack.api(), stack.api(), stack.api::<Pod>());
    let (quotas, ranges, pods) = tokio::try_join!(
        quotas.list(&everything),
        ranges.list(&everything),
        pods.list(&everything)
    )?;
    let wanted = room::wanted(stack, components);
    let sizes: Vec<Resources> = wanted.iter().map(|(requests, _)| *requests).collect();
    if let Some(why) = ranges.items.iter().find_map(|range| beyond_limit(range, &sizes)) {
        return Ok(Observation::blocked(
            why,
            "choose a smaller `--profile`, or ask your cluster administrator for a larger limit",
        ));
    }
    // what runs already is part of what is used
    let running = pods.items.iter().filter(|pod| room::is_ours(stack, pod)).map(room::requests);
    let missing = room::sum(&wanted) - running.sum();
    Ok(match quotas.items.iter().find_map(|quota| beyond_quota(quota, missing)) {
        Some(why) => Observation::blocked(
            why,
            "choose a smaller `--profile`, or ask your cluster administrator for a larger quota",
        ),
        None => Observation::Equal("no quota or limit is in the way".into()),
    })
}

fn beyond_limit(range: &LimitRange, sizes: &[Resources]) -> Option<String> {
    let name = range.metadata.name.as_deref().unwrap_or_default();
    let items = range.spec.iter().flat_map(|spec| &spec.limits);
    let of_pods = items.filter(|item| ["Pod", "Container"].contains(&item.type_.as_str()));
    let of_each = of_pods.flat_map(|item| LIMITED.iter().map(move |one| (item, one)));
    of_each.into_iter().find_map(|(item, one)| {
        let most = one.in_list(item.max.as_ref()?)?;
        let (wanted, most) = sizes.iter().find_map(|size| one.shortage(*size, most))?;
        let kind = &item.type_;
        Some(format!(
            "LimitRange {name} allows a {kind} {most}, and one of the stack requests {wanted}"
        ))
    })
}

fn beyond_quota(quota: &ResourceQuota, missing: Resources) -> Option<String> {
    let name = quota.metadata.name.as_deref().unwrap_or_default();
    let status = quota.status.as_ref()?;
    LIMITED.iter().find_map(|one| {
        let used = status.used.as_ref().and_then(|used| one.in_list(used)).unwrap_or_default();
        let left = one.in_list(status.hard.as_ref()?)? - used;
        let (wanted, left) = one.shortage(missing, left)?;
        Some(format!("ResourceQuota {name} leaves {left}, and the stack requests {wanted} more"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gigabytes(n: i64) -> Resources {
        Resources { millicores: n * 1000, memory_bytes: n << 30 }
    }

    #[test]
    fn quota_counts_what_is_left_and_ignores_what_it_does_not_name() {
        let quota = |hard: serde_json::Value, used: serde_json::Value| {
            let quota =
                json!({"metadata": {"name": "team"}, "status": {"hard": hard, "used": used}});
            beyond_quota(&serde_json::from_value(quota).unwrap(), gigabytes(2))
        };
        assert_eq!(quota(json!({"limits.cpu": "1", "pods": "1"}), json!({})), None);
        assert_eq!(quota(json!({"cpu": "3"}), json!({"cpu": "1"})), None);
        assert_eq!(
            quota(json!({"requests.memory": "3Gi"}), json!({"requests.memory": "2Gi"})).unwrap(),
            "ResourceQuota team leaves 1.0 Gi of memory, and the stack requests 2.0 Gi of memory more"
        );
    }

    #[test]
    fn limit_of_volumes_is_not_one_of_pods() {
        let range = |kind: &str| {
            let limits = json!([{"type": kind, "max": {"cpu": "500m"}}]);
            let range = json!({"metadata": {"name": "small"}, "spec": {"limits": limits}});
            beyond_limit(&serde_json::from_value(range).unwrap(), &[gigabytes(2)])
        };
        assert_eq!(range("PersistentVolumeClaim"), None);
        assert_eq!(
            range("Container").unwrap(),
            "LimitRange small allows a Container 0.5 cores, and one of the stack requests 2.0 cores"
        );
    }
}
