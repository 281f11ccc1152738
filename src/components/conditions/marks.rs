//! Whether the stack is in its usual state: neither paused nor incompletely restored or upgraded.

use anyhow::Result;
use futures::future::try_join3;

use crate::engine::Observation;
use crate::error::Diagnosis;
use crate::output::units::age;
use crate::stack::{Stack, mark};

/// Why the stack is not in its usual state. None: it is.
///
/// # Errors
/// When a mark cannot be read.
pub async fn unusual(stack: &Stack) -> Result<Option<Diagnosis>> {
    let (restore, upgrade, paused) = try_join3(
        mark::read(stack, mark::RESTORE),
        mark::read(stack, mark::UPGRADE),
        mark::read(stack, mark::PAUSED),
    )
    .await?;
    let flags = &stack.cluster.flags;
    if let Some(restore) = restore {
        let value = |key: &str| restore.get(key).map_or("?", String::as_str);
        let (backup, location) = (value("backup"), value("location"));
        return Ok(Some(Diagnosis::new(
            format!("the restore of backup {backup} is not complete"),
            format!("repeat it: kubectl lastack restore {location} --backup {backup}{flags}"),
        )));
    }
    if upgrade.is_some() {
        return Ok(Some(Diagnosis::new(
            "the upgrade is not complete",
            format!(
                "continue it: kubectl lastack upgrade{flags}, or return: kubectl lastack rollback{flags}"
            ),
        )));
    }
    Ok(paused.map(|paused| {
        let since = paused.get("since").and_then(|since| since.parse::<jiff::Timestamp>().ok());
        let since = since.map(|since| jiff::Timestamp::now().duration_since(since).unsigned_abs());
        let since = since.map(|since| format!(" since {}", age(since))).unwrap_or_default();
        Diagnosis::new(
            format!("the stack is paused{since}"),
            format!("start it again: kubectl lastack resume{flags}"),
        )
    }))
}

pub async fn observe(stack: &Stack) -> Result<Observation> {
    Ok(match unusual(stack).await? {
        None => Observation::Equal("neither paused nor being restored or upgraded".into()),
        Some(diagnosis) => Observation::Blocked(diagnosis),
    })
}
