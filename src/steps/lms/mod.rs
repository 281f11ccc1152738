//! Moodle, the LMS: its accounts, its plugin, its release, and the wire to the LRS.

mod accounts;
mod answers;
mod course;
mod cron;
mod installed;
mod moodle;
mod package;
mod plugin;
mod settings;
mod store;

use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use futures::future::join4;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Map, Value, json};

use crate::clients::helm::Install;
use crate::clients::moodle::{Failed, Moodle, Queue, State};
use crate::clients::{pods, secrets};
use crate::error::Failure;
use crate::output::age;
use crate::stack::Stack;
use crate::stack::step::Step;
use crate::stack::versions::Component;

use super::postgresql::Database;
use super::{Credential, Fact, Part, PartStatus, release};

pub use course::shortname;
pub use moodle::{LOCAL_PORT, outside_url, site_url};

const RELEASE: &str = "lms";
/// The Deployment, the Service and the Secret of the accounts.
pub const NAME: &str = "lms-moodle";
const PODS: &str = "app.kubernetes.io/instance=lms,app.kubernetes.io/component=web";
const POSTGRESQL: Database =
    Database { part: "Moodle", component: Component::Lms, name: "lms-postgresql" };
/// The administrator.
const USER: &str = "user";
/// The cron sends every minute. An event that is older than this has been overlooked.
const PATIENCE: Duration = Duration::from_secs(600);
/// With less than this Moodle cannot even keep sessions.
const LEAST_SPACE: u64 = 32 << 20;

pub struct Lms;

#[async_trait]
impl Part for Lms {
    fn name(&self) -> &'static str {
        "moodle"
    }

    fn component(&self) -> Component {
        Component::Lms
    }

    fn steps(&self) -> Vec<Box<dyn Step>> {
        vec![
            Box::new(accounts::ACCOUNTS),
            Box::new(plugin::Plugin::default()),
            Box::new(moodle::MoodleRelease),
            Box::new(installed::Installed),
            Box::new(answers::Answers),
            Box::new(settings::Settings),
            Box::new(store::Store),
            Box::new(cron::Cron),
            Box::new(course::Course),
        ]
    }

    async fn status(&self, stack: &Stack) -> PartStatus {
        let mut status = PartStatus::default();
        let (runs, pods, answers, state) = join4(
            release::runs(stack, RELEASE),
            release::pods(stack, NAME),
            answers::probe(stack),
            async { client(stack).await?.state().await },
        )
        .await;
        let Some(runs) = runs else {
            status.runs = Fact::Bad("not installed".into());
            return status;
        };
        (status.runs, status.pods) = (runs, pods);
        status.answers = answers.map_or_else(|error| Fact::from_error(&error), Fact::Good);
        match state {
            Ok(state) => {
                status.newest = state.queue.as_ref().and_then(|queue| time(queue.newest_logged));
                status.sent = state.queue.as_ref().and_then(|queue| time(queue.last_sent));
                status.figures = state.queue.as_ref().map(figures).unwrap_or_default();
                status.data = hop(stack, &state).await;
            }
            // why it does not answer is said once
            Err(_) if matches!(status.answers, Fact::Bad(_)) => {}
            Err(error) => status.data = Fact::from_error(&error),
        }
        status.url = outside_url(stack).await.ok().flatten();
        status.inside = Some(address(stack));
        status
    }

    async fn credentials(&self, stack: &Stack) -> Result<Vec<Credential>> {
        let mut found = Vec::new();
        let accounts = [
            (USER, "moodle-password", "administers Moodle"),
            (course::LEARNER, "learner-password", "learns in the test course"),
        ];
        let url = outside_url(stack).await.ok().flatten().unwrap_or_else(|| address(stack));
        for (user, key, purpose) in accounts {
            let Some(password) = secrets::optional(stack, NAME, key).await? else { continue };
            found.push(Credential {
                user: user.into(),
                password,
                purpose,
                secret: format!("{NAME}/{key}"),
                url: url.clone(),
            });
        }
        Ok(found)
    }

    fn volumes(&self, stack: &Stack) -> Option<(String, usize)> {
        let values = stack.settings.values.get(&Component::Lms);
        let own_claim = values
            .and_then(|values| values["persistence"]["existingClaim"].as_str())
            .unwrap_or_default();
        Some((
            release::objects_of(RELEASE),
            usize::from(own_claim.is_empty()) + usize::from(POSTGRESQL.is_ours(stack)),
        ))
    }

    async fn release(&self, stack: &Stack) -> Result<Option<Install>> {
        moodle::MoodleRelease::install(stack).await.map(Some)
    }
}

/// Why no event leaves Moodle, when the reason lies in its settings, its cron or its volume.
pub async fn why_nothing_is_sent(stack: &Stack, state: &State) -> Result<Option<String>> {
    Ok(miswired(stack, state).await?.or_else(|| full(state)))
}

async fn miswired(stack: &Stack, state: &State) -> Result<Option<String>> {
    if state.queue.is_none() {
        return Ok(Some("the plugin that sends events is not installed".into()));
    }
    let drift = settings::drift(stack, state).await?.or_else(|| store::drift(state));
    Ok(drift.map(|drift| drift.to_string()).or_else(|| cron::fault(state)))
}

/// The hop from Moodle to the LRS: what is logged, waits, failed; and whether the settings are still ours.
async fn hop(stack: &Stack, state: &State) -> Fact {
    let why = match miswired(stack, state).await {
        Ok(why) => why,
        Err(error) => return Fact::from_error(&error),
    };
    let Some(queue) = &state.queue else { return Fact::Bad(why.unwrap_or_default()) };
    let faults: Vec<String> =
        [why, stuck(queue, state.now), lost(queue), full(state)].into_iter().flatten().collect();
    let mut text =
        format!("{} events, {} waiting", age::count(queue.logged), age::count(queue.waiting));
    let refused: u64 =
        queue.failed.iter().filter(|failed| failed.alone).map(|failed| failed.events).sum();
    if refused > 0 {
        text.push_str(&format!(", {} refused by the LRS", age::count(refused)));
    }
    if faults.is_empty() {
        Fact::Good(text)
    } else {
        Fact::Bad(format!("{text}; {}", faults.join("; ")))
    }
}

/// What waits and what failed, by cause, for programs.
fn figures(queue: &Queue) -> Map<String, Value> {
    let failed = |failed: &Failed| json!({"cause": failed.cause(), "events": failed.events, "oldest": rfc3339(failed.oldest), "sentAgain": failed.is_due()});
    let figures = json!({
        "events": queue.logged,
        "waiting": queue.waiting,
        "oldestWaiting": rfc3339(queue.oldest_waiting),
        "failed": queue.failed.iter().map(failed).collect::<Vec<_>>(),
    });
    figures.as_object().cloned().unwrap_or_default()
}

fn rfc3339(seconds: i64) -> Option<String> {
    time(seconds).map(|time| time.to_string())
}

/// A queue that nobody empties.
fn stuck(queue: &Queue, now: i64) -> Option<String> {
    let waits = since(queue.oldest_waiting, now);
    (queue.oldest_waiting > 0 && waits > PATIENCE)
        .then(|| format!("the oldest waits since {}", age::age(waits)))
}

/// Between two of Moodle's own times.
fn since(then: i64, now: i64) -> Duration {
    Duration::from_secs(u64::try_from(now - then).unwrap_or_default())
}

/// What the plugin gave up on, without what can never be sent.
fn lost(queue: &Queue) -> Option<String> {
    let mut due: Vec<_> = queue.failed.iter().filter(|failed| failed.is_due()).collect();
    due.sort_by_key(|failed| std::cmp::Reverse(failed.events));
    let first = due.first()?;
    let events: u64 = due.iter().map(|failed| failed.events).sum();
    Some(format!(
        "{} not delivered: {}; they are sent again every few minutes, or now by `kubectl lastack replay`",
        age::count(events),
        first.cause()
    ))
}

fn full(state: &State) -> Option<String> {
    let free = state.free_bytes.filter(|free| *free < LEAST_SPACE)?;
    Some(format!("the volume with Moodle's files is full, {} are left", age::bytes(free)))
}

fn time(seconds: i64) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(seconds).ok().filter(|_| seconds > 0)
}

/// The address inside the cluster.
pub fn address(stack: &Stack) -> String {
    release::address(stack, Component::Lms, NAME)
}

/// Moodle through one of its pods that runs, even if it is not ready.
pub async fn client(stack: &Stack) -> Result<Moodle> {
    let pods = pods::list(stack, PODS).await?;
    let runs = |pod: &&Pod| {
        pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
    };
    let pod = pods.iter().find(|pod| pods::is_ready(pod)).or_else(|| pods.iter().find(runs));
    let Some(name) = pod.and_then(|pod| pod.metadata.name.clone()) else {
        return Err(Failure::failed(format!(
            "no pod of Moodle runs in namespace {}",
            stack.namespace()
        ))
        .hint("`kubectl lastack status` says why, `kubectl lastack install` makes one")
        .into());
    };
    Ok(Moodle::in_pod(stack, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::moodle::Refusal;

    fn queue(oldest_waiting: i64, failed: Vec<Failed>) -> Queue {
        Queue { logged: 10, waiting: 3, oldest_waiting, last_sent: 0, newest_logged: 0, failed }
    }

    fn failed(errortype: u32, alone: bool, events: u64) -> Failed {
        Failed { refusal: Refusal { errortype, response: String::new() }, alone, events, oldest: 0 }
    }

    #[test]
    fn a_queue_is_stuck_when_its_oldest_event_is_not_when_it_is_long() {
        assert_eq!(stuck(&queue(9_900, vec![]), 10_000), None);
        assert_eq!(stuck(&queue(0, vec![]), 10_000), None);
        assert!(stuck(&queue(9_000, vec![]), 10_000).unwrap().contains("16m"));
    }

    #[test]
    fn events_that_no_statement_can_be_made_of_are_no_fault_and_the_commonest_cause_is_said() {
        assert_eq!(lost(&queue(0, vec![failed(10_000, false, 900), failed(422, true, 2)])), None);
        let text = lost(&queue(0, vec![failed(401, false, 3), failed(0, false, 40)])).unwrap();
        assert!(text.starts_with("43 not delivered: the LRS could not be reached"), "{text}");
    }
}
