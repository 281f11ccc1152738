//! The plugin's settings in Moodle: endpoint, account, batch size, and the personal data to send.

use std::collections::BTreeMap;

use anyhow::Result;
use async_trait::async_trait;
use data_encoding::HEXLOWER;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use crate::cluster::steps::Step;
use crate::components::lrs;
use crate::engine::{Difference, Id, Observation, Progress, Reconciled, Resource, Scope};
use crate::stack::Stack;
use crate::stack::settings::Sending;

use super::COMPONENT;
use super::client::State;
use super::moodle::site_url;
use super::package::LOGSTORE;

/// Events per run of the cron, which runs every minute. A class of 20 learners creates more than the plugin's default of 30.
/// This value suffices for 200 learners with five events a minute each. The LRS stores it in half a second.
const BATCH: u32 = 1000;

/// The home page in the accounts of learners. The plugin stores the address of Moodle at its first start.
const HOMEPAGE: &str = "account_homepage";
/// The home page that this program wrote last. Another home page is the choice of an administrator.
const OUR_HOMEPAGE: &str = "lastack_homepage";

pub struct Settings;

/// Whether the home page follows the address of Moodle.
fn manages_homepage(settings: &BTreeMap<String, String>, site_url: &str) -> bool {
    let value = |name| settings.get(name).map_or("", String::as_str);
    match value(OUR_HOMEPAGE) {
        "" => ["", site_url].contains(&value(HOMEPAGE)),
        ours => value(HOMEPAGE) == ours,
    }
}

/// The desired settings of the plugin, without the password.
async fn wanted(stack: &Stack, state: &State) -> Result<BTreeMap<&'static str, String>> {
    let mut wanted = chosen(stack);
    let site_url = site_url(stack).await?;
    if manages_homepage(&state.settings, &site_url) {
        wanted.extend([(HOMEPAGE, site_url.clone()), (OUR_HOMEPAGE, site_url)]);
    }
    Ok(wanted)
}

/// The settings that follow from those of the stack.
fn chosen(stack: &Stack) -> BTreeMap<&'static str, String> {
    let settings = &stack.settings.lms;
    let switch = |on: bool| String::from(if on { "1" } else { "0" });
    let batch = || BATCH.to_string();
    BTreeMap::from([
        ("endpoint", lrs::endpoint(stack)),
        ("username", lrs::MOODLE.to_string()),
        ("backgroundmode", switch(settings.sending.unwrap_or_default() == Sending::Background)),
        ("maxbatchsize", batch()),
        ("maxbatchsizeforfailed", batch()),
        ("maxbatchsizeforhistorical", batch()),
        // splits a batch that the LRS rejects until the invalid event is isolated
        ("resendfailedbatches", switch(true)),
        ("send_name", switch(settings.send_names.unwrap_or_default())),
        ("send_username", switch(settings.send_usernames.unwrap_or_default())),
        ("mbox", switch(settings.send_emails.unwrap_or_default())),
        ("logguests", switch(settings.send_guests.unwrap_or_default())),
    ])
}

/// The settings that differ from their desired values.
///
/// # Errors
/// When the password of the LRS account or the address of Moodle cannot be read.
pub async fn differences(stack: &Stack, state: &State) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    let mut differs = |name: &str, observed: &str, desired: &str| {
        found.push(Difference::new(format!("{LOGSTORE}/{name}"), observed, desired));
    };
    for (name, wanted) in wanted(stack, state).await? {
        let observed = state.settings.get(name).map_or("", String::as_str);
        if observed != wanted {
            differs(name, if observed.is_empty() { "empty" } else { observed }, &wanted);
        }
    }
    let password = lrs::moodle_account(stack).await?.password;
    if state.password_sha256 != HEXLOWER.encode(&Sha256::digest(password.expose_secret())) {
        differs("password", "different", "that of the LRS account");
    }
    let routes = state.settings.get("routes");
    if routes.is_none_or(|routes| routes.trim_matches([',', ' ']).is_empty()) {
        differs("routes", "empty, so no event is sent", "the events to send");
    }
    Ok(found)
}

/// Applies the settings. Returns the names of those that differed.
///
/// # Errors
/// When Moodle's script fails, and when the password of the LRS account or the address of Moodle cannot be read.
pub async fn connect(stack: &Stack) -> Result<Vec<String>> {
    let account = lrs::moodle_account(stack).await?;
    let moodle = super::client(stack).await?;
    let wanted = wanted(stack, &moodle.state().await?).await?;
    moodle.configure(&wanted, &account.password).await
}

#[async_trait]
impl Resource<Stack> for Settings {
    fn id(&self) -> Id {
        Id("lms.settings")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("lms.responds"), Id("lrs.credentials")]
    }

    fn scope(&self) -> Scope {
        Scope::Setting
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let state = super::state(stack).await?;
        if state.queue.is_none() {
            return Ok(Observation::blocked(
                format!("the plugin {LOGSTORE} is not installed in Moodle {}", state.release),
                "run `kubectl lastack install` to install it and restart Moodle",
            ));
        }
        let differences = differences(stack, &state).await?;
        let is_forced = |difference: &&Difference| {
            state.forced.iter().any(|name| difference.what == format!("{LOGSTORE}/{name}"))
        };
        Ok(match differences.iter().find(is_forced) {
            Some(forced) => Observation::blocked(
                format!("{forced}, but config.php of this Moodle forces its value"),
                "remove it from `forced_plugin_settings`, or set the same value in lastack.yaml",
            ),
            None => Observation::compared(differences, || format!("to {}", lrs::endpoint(stack))),
        })
    }

    async fn reconcile(&self, stack: &Stack, _: &Progress<'_>) -> Result<Reconciled> {
        let changed = connect(stack).await?;
        Ok(Reconciled::Done(format!("to {}, changed {}", lrs::endpoint(stack), changed.join(", "))))
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        Ok(vec![Step::Verb {
            verb: format!("configure {COMPONENT}{}", stack.cluster.flags),
            reason: "No other command sets the password of the plugin without exposing it in the process list. \
                     The verb also creates the test course and enables the plugin.",
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homepage_follows_the_address_unless_an_administrator_chose_another() {
        let manages = |homepage: &str, ours: Option<&str>| {
            let ours = ours.map(|ours| (OUR_HOMEPAGE.to_string(), ours.to_string()));
            let settings = ours.into_iter().chain([(HOMEPAGE.to_string(), homepage.to_string())]);
            manages_homepage(&settings.collect(), "https://lms.example.org")
        };
        assert!(manages("https://lms.example.org", None), "the address of the first start");
        assert!(manages("", None));
        assert!(manages("http://localhost:8080", Some("http://localhost:8080")), "moved");
        assert!(!manages("https://id.example.org", None));
        assert!(!manages("https://id.example.org", Some("http://localhost:8080")));
    }
}
