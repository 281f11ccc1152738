//! The settings of the plugin in Moodle: where it sends to, as whom, how much at once, and what of a person.

use std::collections::BTreeMap;

use anyhow::Result;
use async_trait::async_trait;
use data_encoding::HEXLOWER;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use crate::clients::moodle::State;
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::settings::Sending;
use crate::stack::step::{Converged, Drift, Observed, Step, StepId};
use crate::steps::lrs;

use super::client;
use super::package::COMPONENT;

/// Events of one run of the cron, so of a minute. The plugin's own 30 are fewer than a class of 20 makes; these are five
/// a minute of each in a class of 200, and the LRS stores them in half a second.
const BATCH: u32 = 1000;

pub struct Settings;

/// What the plugin must be set to, without the password.
fn wanted(stack: &Stack) -> BTreeMap<&'static str, String> {
    let asked = &stack.settings.lms;
    let switch = |on: bool| String::from(if on { "1" } else { "0" });
    let batch = || BATCH.to_string();
    BTreeMap::from([
        ("endpoint", lrs::endpoint(stack)),
        ("username", lrs::MOODLE.to_string()),
        ("backgroundmode", switch(asked.sending.unwrap_or_default() == Sending::Background)),
        ("maxbatchsize", batch()),
        ("maxbatchsizeforfailed", batch()),
        ("maxbatchsizeforhistorical", batch()),
        // halves a batch that the LRS calls a bad request until the bad event is found
        ("resendfailedbatches", switch(true)),
        ("send_name", switch(asked.send_names.unwrap_or_default())),
        ("send_username", switch(asked.send_usernames.unwrap_or_default())),
        ("mbox", switch(asked.send_emails.unwrap_or_default())),
        ("logguests", switch(asked.send_guests.unwrap_or_default())),
    ])
}

/// The first setting that is not as it should be.
pub async fn drift(stack: &Stack, state: &State) -> Result<Option<Drift>> {
    let drifted = |name: &str, from: &str, to: &str| {
        Some(Drift { what: format!("{COMPONENT}/{name}"), from: from.into(), to: to.into() })
    };
    for (name, wanted) in wanted(stack) {
        let is = state.settings.get(name).map_or("", String::as_str);
        if is != wanted {
            return Ok(drifted(name, if is.is_empty() { "empty" } else { is }, &wanted));
        }
    }
    let password = lrs::moodle_account(stack).await?.password;
    if state.password_sha256 != HEXLOWER.encode(&Sha256::digest(password.expose_secret())) {
        return Ok(drifted("password", "another", "that of the LRS account"));
    }
    let has_routes = state
        .settings
        .get("routes")
        .is_some_and(|routes| !routes.trim_matches([',', ' ']).is_empty());
    Ok(if has_routes {
        None
    } else {
        drifted("routes", "empty, so no event is sent", "the events to send")
    })
}

#[async_trait]
impl Step for Settings {
    fn id(&self) -> StepId {
        "lms.settings"
    }

    fn needs(&self) -> &'static [StepId] {
        &["lms.answers", "lrs.credentials"]
    }

    fn configures(&self) -> bool {
        true
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let state = client(stack).await?.state().await?;
        if state.queue.is_none() {
            return Ok(Observed::blocked(
                format!("the plugin {COMPONENT} is not installed in Moodle {}", state.release),
                "`kubectl lastack install` puts it there and restarts Moodle",
            ));
        }
        Ok(match drift(stack, &state).await? {
            None => Observed::Ok(format!("to {}", lrs::endpoint(stack))),
            Some(drift)
                if state.forced.iter().any(|name| drift.what == format!("{COMPONENT}/{name}")) =>
            {
                Observed::blocked(
                    format!("{drift}, but config.php of this Moodle holds it fast"),
                    "take it out of `forced_plugin_settings`, or ask for the same in lastack.yaml",
                )
            }
            Some(drift) => Observed::Drifted(drift),
        })
    }

    async fn converge(&self, stack: &Stack, _: &Progress) -> Result<Converged> {
        let account = lrs::moodle_account(stack).await?;
        let changed = client(stack).await?.configure(&wanted(stack), &account.password).await?;
        Ok(Converged::Done(format!("to {}, changed {}", lrs::endpoint(stack), changed.join(", "))))
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        let set = |(name, value): (&str, String)| {
            format!(
                "kubectl exec -n {} deploy/{} -- php admin/cli/cfg.php --component={COMPONENT} --name={name} --set={value}",
                stack.namespace(),
                super::NAME
            )
        };
        wanted(stack).into_iter().map(set).collect()
    }
}
