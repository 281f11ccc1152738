//! Marks of a stack that is not in its usual state, each a ConfigMap that exists as long as the state.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::cluster::object::{self, FIELD_MANAGER};

use super::Stack;

/// The ConfigMap of an incomplete restore, with `backup` and `location`.
pub const RESTORE: &str = "lastack-restore";
/// The ConfigMap of an incomplete upgrade.
pub const UPGRADE: &str = "lastack-upgrade";
/// The ConfigMap of a paused stack, with the time `since`.
pub const PAUSED: &str = "lastack-paused";

/// Sets a mark.
///
/// # Errors
/// When the ConfigMap cannot be written.
pub async fn set(stack: &Stack, mark: &str, data: &[(&str, String)]) -> Result<()> {
    let data: BTreeMap<&str, &str> =
        data.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": mark, "labels": stack.labels("lastack", mark)},
        "data": data,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let written = stack.api::<ConfigMap>().patch(mark, &params, &Patch::Apply(&map)).await;
    written.with_context(|| format!("configmap {mark}"))?;
    Ok(())
}

/// Removes a mark that may be absent.
///
/// # Errors
/// When the ConfigMap cannot be deleted.
pub async fn clear(stack: &Stack, mark: &str) -> Result<()> {
    object::delete(&stack.api::<ConfigMap>(), mark, &DeleteParams::default()).await
}

/// The data of a mark. None: it is not set.
///
/// # Errors
/// When the ConfigMap cannot be read.
pub async fn read(stack: &Stack, mark: &str) -> Result<Option<BTreeMap<String, String>>> {
    let map = stack.api::<ConfigMap>().get_opt(mark).await;
    let map = map.with_context(|| format!("configmap {mark}"))?;
    Ok(map.map(|map| map.data.unwrap_or_default()))
}
