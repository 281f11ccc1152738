//! Whether a restore is complete.

use anyhow::Result;
use k8s_openapi::api::core::v1::ConfigMap;

use crate::engine::Observation;
use crate::error::Diagnosis;
use crate::stack::{RESTORE, Stack};

/// Why the data of the stack is incomplete. None: it is not.
///
/// # Errors
/// When the ConfigMap cannot be read.
pub async fn incomplete(stack: &Stack) -> Result<Option<Diagnosis>> {
    let Some(mark) = stack.api::<ConfigMap>().get_opt(RESTORE).await? else { return Ok(None) };
    let data = mark.data.unwrap_or_default();
    let value = |key: &str| data.get(key).map_or("?", String::as_str);
    let (backup, location) = (value("backup"), value("location"));
    Ok(Some(Diagnosis::new(
        format!("the restore of backup {backup} is not complete"),
        format!(
            "repeat it: kubectl lastack restore {location} --backup {backup}{}",
            stack.cluster.flags
        ),
    )))
}

pub async fn observe(stack: &Stack) -> Result<Observation> {
    Ok(match incomplete(stack).await? {
        None => Observation::Equal("no restore is in progress".into()),
        Some(diagnosis) => Observation::Blocked(diagnosis),
    })
}
