//! The lock of a verb that changes a stack, so that two commands do not change it at the same time.

use std::sync::Mutex;
use std::time::Instant;

use anyhow::Result;

use crate::cluster::Cluster;
use crate::cluster::lease::{self, Lock};
use crate::output::printer;

/// Takes the lock of the stack's namespace for a verb. Waits for another command until the deadline.
///
/// # Errors
/// When another command holds the lock at the deadline, and when the API server fails.
pub async fn take(cluster: &Cluster, verb: &str, deadline: Option<Instant>) -> Result<Lock> {
    let last = Mutex::new(String::new());
    let say = |reason: &str| {
        let mut last = last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // without a deadline, the error names the reason
        if *last != reason && deadline.is_some() {
            printer::note(&format!("Waiting: {reason}"));
            *last = reason.into();
        }
    };
    let lock = lease::take(cluster, &lease::identity(&user(), verb), deadline, &say).await?;
    if let Some(sentence) = &lock.not_permitted {
        printer::warning(&format!("cannot lock the stack against other commands: {sentence}"));
    }
    Ok(lock)
}

/// The user of this machine, for others who wait.
fn user() -> String {
    let variable = |names: &[&str]| {
        names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    };
    let user = variable(&["USER", "LOGNAME", "USERNAME"]).unwrap_or_else(|| "a user".into());
    let host = variable(&["HOSTNAME", "COMPUTERNAME"])
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    match host.as_deref().map(str::trim).filter(|host| !host.is_empty()) {
        Some(host) => format!("{user}@{host}"),
        None => user,
    }
}
