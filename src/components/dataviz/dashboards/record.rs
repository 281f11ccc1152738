//! What this program last brought into Superset, kept in a ConfigMap, so that what a person changed or deleted
//! since then can be told from what is old.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::cluster::object::{self, FIELD_MANAGER};
use crate::stack::Stack;

pub const NAME: &str = "dataviz-applied";

/// Whose files assets are from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Ours, as were all before this was written down.
    #[default]
    Program,
    /// A person's, named with `dashboards apply`.
    Person,
}

/// How an asset was when this program brought it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Of the file.
    pub digest: String,
    /// What Superset said right afterwards.
    pub changed_on: String,
    #[serde(default)]
    pub origin: Origin,
}

#[derive(Debug, Clone, Default)]
pub struct Record {
    pub applied: BTreeMap<Uuid, Applied>,
    /// Of the ConfigMap. None when there is none.
    pub(super) version: Option<String>,
}

impl Record {
    /// An entry that cannot be read is one that was never made.
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

    /// Writes these entries and leaves all others as they are. False when somebody else wrote since this was loaded.
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
            None => {
                let map = serde_json::from_value(
                    json!({"metadata": {"name": NAME, "labels": stack.labels("superset", "dataviz")}, "data": data}),
                )?;
                api.create(
                    &PostParams {
                        field_manager: Some(FIELD_MANAGER.into()),
                        ..PostParams::default()
                    },
                    &map,
                )
                .await
            }
        };
        match outcome {
            // changed, made or deleted in the meantime
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            outcome => outcome.map(|_| true).with_context(|| format!("configmap {NAME}")),
        }
    }

    pub async fn forget(stack: &Stack) -> Result<()> {
        object::delete_ours(&stack.api::<ConfigMap>(), NAME).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_before_there_were_origins_is_of_this_program() {
        let old: Applied =
            serde_json::from_str(r#"{"digest":"0a","changed_on":"monday"}"#).unwrap();
        assert_eq!(
            old,
            Applied { digest: "0a".into(), changed_on: "monday".into(), origin: Origin::Program }
        );
        let text =
            serde_json::to_string(&Applied { origin: Origin::Person, ..old.clone() }).unwrap();
        assert_eq!(serde_json::from_str::<Applied>(&text).unwrap().origin, Origin::Person);
    }
}
