//! A record of the assets that this program last imported, stored in a ConfigMap. It distinguishes users' changes and
//! deletions from outdated assets.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::cluster::access::{Rule, Rules};
use crate::cluster::object::{self, FIELD_MANAGER};
use crate::stack::Stack;

pub const NAME: &str = "dataviz-applied";

/// The permission to read the record.
pub const READ: Rules =
    &[Rule::new("", "configmaps", &["get"], "the record of applied dashboards").named(&[NAME])];
/// The permissions to write the record.
pub const WRITE: Rules = &[
    Rule::new("", "configmaps", &["delete", "patch"], "the record of applied dashboards")
        .named(&[NAME]),
    Rule::new("", "configmaps", &["create"], "ConfigMaps that do not exist yet"),
];

/// The origin of imported files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// This program. The default, because old records have no origin.
    #[default]
    Program,
    /// A user, with `dashboards apply PATH`.
    #[serde(rename = "person")]
    User,
}

/// The state of an asset after its import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The digest of the file.
    pub digest: String,
    /// The time of the last change, as Superset returned it after the import.
    pub changed_on: String,
    #[serde(default)]
    pub origin: Origin,
}

#[derive(Debug, Clone, Default)]
pub struct Record {
    pub applied: BTreeMap<Uuid, Applied>,
    /// The resourceVersion of the ConfigMap. None when it does not exist.
    pub(super) version: Option<String>,
}

impl Record {
    /// Loads the record. Ignores invalid entries.
    ///
    /// # Errors
    /// When the ConfigMap cannot be read.
    pub async fn load(stack: &Stack) -> Result<Self> {
        let map = stack
            .api::<ConfigMap>()
            .get_opt(NAME)
            .await
            .with_context(|| format!("configmap {NAME}"))?;
        let version =
            map.as_ref().map(|map| map.metadata.resource_version.clone().unwrap_or_default());
        let data = map.and_then(|map| map.data).unwrap_or_default();
        let applied = data
            .iter()
            .filter_map(|(uuid, entry)| {
                Some((uuid.parse().ok()?, serde_json::from_str(entry).ok()?))
            })
            .collect();
        Ok(Self { applied, version })
    }

    /// Writes these entries and keeps all others. Returns false when another client wrote since this was loaded.
    ///
    /// # Errors
    /// When the API server rejects the write for another reason.
    pub async fn remember(&self, stack: &Stack, entries: &BTreeMap<Uuid, Applied>) -> Result<bool> {
        if entries.is_empty() {
            return Ok(true);
        }
        let data: BTreeMap<String, String> = entries
            .iter()
            .map(|(uuid, applied)| Ok((uuid.to_string(), serde_json::to_string(applied)?)))
            .collect::<Result<_>>()?;
        let api = stack.api::<ConfigMap>();
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let outcome = match &self.version {
            Some(version) => {
                let patch =
                    Patch::Merge(json!({"metadata": {"resourceVersion": version}, "data": data}));
                api.patch(NAME, &params, &patch).await
            }
            None => Self::create(stack, &data).await,
        };
        match outcome {
            // changed, created or deleted in the meantime
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            outcome => outcome.map(|_| true).with_context(|| format!("configmap {NAME}")),
        }
    }

    /// Replaces the record by the data of a ConfigMap that was copied.
    ///
    /// # Errors
    /// When the API server rejects it.
    pub async fn replace(stack: &Stack, data: &BTreeMap<String, String>) -> Result<()> {
        Self::forget(stack).await?;
        Self::create(stack, data).await.with_context(|| format!("configmap {NAME}"))?;
        Ok(())
    }

    async fn create(stack: &Stack, data: &BTreeMap<String, String>) -> kube::Result<ConfigMap> {
        let labels = stack.labels("superset", "dataviz");
        let map = json!({"metadata": {"name": NAME, "labels": labels}, "data": data});
        let map = serde_json::from_value(map).map_err(kube::Error::SerdeError)?;
        let params =
            PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        stack.api::<ConfigMap>().create(&params, &map).await
    }

    pub async fn forget(stack: &Stack) -> Result<()> {
        object::delete_ours(&stack.api::<ConfigMap>(), NAME).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_record_without_origin_belongs_to_this_program() {
        let old: Applied =
            serde_json::from_str(r#"{"digest":"0a","changed_on":"monday"}"#).unwrap();
        assert_eq!(
            old,
            Applied { digest: "0a".into(), changed_on: "monday".into(), origin: Origin::Program }
        );
        let text = serde_json::to_string(&Applied { origin: Origin::User, ..old.clone() }).unwrap();
        assert_eq!(serde_json::from_str::<Applied>(&text).unwrap().origin, Origin::User);
    }
}
