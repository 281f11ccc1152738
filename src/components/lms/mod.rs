//! Moodle, the LMS: its accounts, its plugin, its release, and its connection to the LRS.

mod accounts;
pub mod client;
mod compatibility;
mod course;
mod cron;
pub mod history;
mod installed;
mod maintenance;
mod moodle;
mod package;
mod plugin;
mod responds;
mod settings;
mod store;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use futures::future::join4;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::Deserialize;

use crate::cluster::access::{Rule, Rules};
use crate::cluster::helm::Install;
use crate::cluster::object;
use crate::cluster::{pods, secrets};
use crate::engine::{Id, Node, Observation};
use crate::error::Failure;
use crate::output::units;
use crate::stack::Stack;
use crate::stack::component::ComponentName;
use crate::stack::profiles::{DatabaseSize, ReplicaSize};
use crate::stack::resources::Resources;
use crate::stack::settings::{Settings, TestCourse};

use super::access::{Access, MANAGE};
use super::healthy::Healthy;
use super::lrs;
use super::model::{
    Component, Credential, DataStore, Declaration, Exposure, FailedEvents, Figures, Health, Volume,
    failed, unhealthy,
};
use super::postgresql::Database;
use super::release;
use super::remains::{Kinds, kind};
use super::secrets::SecretSpec;

use client::{Failed, Moodle, Queue, State};
use compatibility::Compatibility;

pub use course::shortname;
pub use maintenance::{Held, recover, restart};
pub use moodle::{LOCAL_PORT, outside_url, site_url};
pub use settings::connect;

pub const COMPONENT: ComponentName = ComponentName::new("lms");
const RELEASE: &str = "lms";
/// The name of the Deployment, the Service and the Secret with the accounts.
pub const NAME: &str = "lms-moodle";
const PODS: &str = "app.kubernetes.io/instance=lms,app.kubernetes.io/component=web";
const POSTGRESQL: Database = Database {
    program: "Moodle",
    component: COMPONENT,
    name: "lms-postgresql",
    client: "lms-postgresql-client",
};
/// Moodle's data in backups.
pub const DATABASE: Id = Id("lms.postgresql");
pub const FILES: Id = Id("lms.files");
/// The replacement of both by those of a backup.
pub const EXCHANGE: Id = Id("lms.exchange");
const VOLUME: Volume = Volume {
    pods: PODS,
    container: client::CONTAINER,
    path: "/var/www/moodledata",
    skip: &["cache", "localcache", "lock", "muc", "sessions", "temp", "trashdir"],
    keep: &["climaintenance.html", "lost+found"],
};
/// The versions of Moodle and its plugins for which the database was made.
const SCHEMA: &str =
    "SELECT md5(string_agg(concat_ws(' ', plugin, value), ',' ORDER BY plugin)) FROM (
    SELECT 'core' AS plugin, value FROM mdl_config WHERE name = 'version'
    UNION ALL SELECT plugin, value FROM mdl_config_plugins WHERE name = 'version') AS versions";
/// The administrator.
const USER: &str = "user";
/// The maximum time that an event may wait. The cron sends every minute.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// The minimum free space in bytes. Moodle cannot store sessions with less.
const MIN_FREE_BYTES: u64 = 32 << 20;
/// The data in its volumes.
const STORES: &str = "courses and learners of Moodle";

/// The kinds of objects in its chart.
const KINDS: Kinds = &[
    kind::<Deployment>,
    kind::<StatefulSet>,
    kind::<Pod>,
    kind::<Service>,
    kind::<ServiceAccount>,
    kind::<ConfigMap>,
    kind::<NetworkPolicy>,
    kind::<Ingress>,
    kind::<HorizontalPodAutoscaler>,
    kind::<PodDisruptionBudget>,
];

const EXEC: Rule = Rule::new("", "pods/exec", &["get", "create"], "scripts in Moodle's Pod");
const PODS_OF_MOODLE: Rule = Rule::new("", "pods", &["list"], "the Pods of Moodle");
const ACCOUNTS: Rule = Rule::new("", "secrets", &["get"], "the accounts of Moodle").named(&[NAME]);
const SERVICE: Rule =
    Rule::new("", "services", &["get"], "the addresses of the components").named(&[NAME]);

/// What [`site_url`] needs.
pub const ADDRESSES: Rules = &[SERVICE];

/// What [`why_nothing_is_sent`] needs.
pub const WHY_NOTHING_IS_SENT: Rules = &[lrs::ACCOUNTS, SERVICE];

/// What [`client`] needs. An account with these permissions can read everything that Moodle can read.
pub const CLIENT: Rules = &[EXEC, PODS_OF_MOODLE];

static DECLARATION: Declaration = Declaration {
    name: COMPONENT,
    release: Some(RELEASE),
    stateful_sets: &[POSTGRESQL.name],
    pods: &[(object::INSTANCE, RELEASE)],
    kinds: KINDS,
    access: Access {
        install: &[
            CLIENT,
            &[
                Rule::new("", "pods", &["deletecollection"], "Pods that must start again"),
                Rule::new("", "persistentvolumeclaims", MANAGE, "the volumes of Moodle"),
                Rule::new("apps", "statefulsets", MANAGE, "the databases"),
            ],
        ],
        configure: &[CLIENT, WHY_NOTHING_IS_SENT, &[ACCOUNTS]],
        // without CLIENT, which reaches everything in Moodle: the events of Moodle are unknown
        health: &[&[
            SERVICE,
            Rule::new("apps", "deployments", &["get"], "the workloads").named(&[NAME]),
            Rule::new("apps", "statefulsets", &["get"], "the databases").named(&[POSTGRESQL.name]),
        ]],
        credentials: &[&[ACCOUNTS, SERVICE]],
        page: &[&[SERVICE]],
    },
    // Moodle's site URL contains this port, and Moodle redirects other addresses to it
    exposure: Some(Exposure { service: NAME, page: "Moodle", local_port: Some(LOCAL_PORT) }),
    stores: Some(STORES),
};

/// Its size in `manifests/profiles.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Size {
    web: ReplicaSize,
    postgresql: DatabaseSize,
    /// Size of the volume with the files of courses.
    storage: Quantity,
    /// The test course, which the settings may override.
    #[serde(default)]
    course: TestCourse,
}

pub struct Lms;

#[async_trait]
impl Component for Lms {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }

    fn nodes(&self) -> Vec<Node<Stack>> {
        let plugin = Arc::new(plugin::Choice::default());
        vec![
            Node::resource(accounts::ACCOUNTS),
            Node::resource(plugin::Plugin(plugin.clone())),
            Node::resource(moodle::MoodleRelease(plugin)),
            Node::resource(installed::Installed),
            Node::check(responds::LmsResponds),
            Node::resource(settings::Settings),
            Node::resource(store::Store),
            Node::check(cron::Cron),
            Node::resource(course::Course),
        ]
    }

    fn checks(&self) -> Vec<Node<Stack>> {
        let healthy = Healthy { component: &Lms, id: Id("lms.healthy"), needs: &[Id("lms.cron")] };
        vec![Node::check(Compatibility), Node::check(healthy)]
    }

    fn pods(&self, settings: &Settings) -> Vec<(Resources, u32)> {
        let size: Size = settings.profile().size_of(COMPONENT);
        vec![
            settings.pods(COMPONENT, "", (size.web.requests(), size.web.replicas)),
            settings.pods(COMPONENT, "/postgresql", (size.postgresql.requests(), 1)),
        ]
    }

    fn volumes(&self, stack: &Stack) -> Option<(String, usize)> {
        let values = stack.settings.values_of(COMPONENT);
        let own_claim = values
            .and_then(|values| values["persistence"]["existingClaim"].as_str())
            .unwrap_or_default();
        let files = usize::from(own_claim.is_empty());
        let database = usize::from(POSTGRESQL.is_ours(stack));
        Some((object::of_release(RELEASE), files + database))
    }

    fn data(&self, settings: &Settings) -> Vec<(Id, DataStore)> {
        vec![(DATABASE, POSTGRESQL.data_store(settings)), (FILES, DataStore::Volume(VOLUME))]
    }

    async fn schema(&self, stack: &Stack) -> Result<Option<String>> {
        POSTGRESQL.schema(stack, SCHEMA).await.map(Some)
    }

    async fn release(&self, stack: &Stack) -> Result<Option<Install>> {
        moodle::install(stack, None).await.map(Some)
    }

    async fn health(&self, stack: &Stack) -> Health {
        let (runs, pods, response, state) = join4(
            release::runs(stack, RELEASE, NAME),
            release::pods(stack, NAME),
            responds::probe(stack),
            state(stack),
        )
        .await;
        if matches!(runs, Observation::Missing(_)) {
            return Health::not_installed();
        }
        let response = response.map_or_else(|error| failed(&error), Observation::Equal);
        let mut health = Health {
            runs: Some(runs),
            pods: Some(pods),
            url: outside_url(stack).await.ok().flatten(),
            inside: Some(address(stack)),
            ..Health::default()
        };
        match state {
            Ok(state) => {
                let queue = state.queue.as_ref();
                health.newest = queue.and_then(|queue| time(queue.newest_logged));
                health.sent = queue.and_then(|queue| time(queue.last_sent));
                health.figures = queue.map(figures);
                health.data = Some(hop(stack, &state).await);
            }
            // the aspect `response` already shows the failure
            Err(_) if response.is_fault() => {}
            Err(error) => health.data = Some(failed(&error)),
        }
        health.response = Some(response);
        health
    }

    async fn credentials(&self, stack: &Stack) -> Result<Vec<Credential>> {
        let mut found = Vec::new();
        let accounts = [
            (USER, "moodle-password", "administers Moodle"),
            (course::LEARNER, "learner-password", "learns in the test course"),
        ];
        let outside = outside_url(stack).await.ok().flatten();
        let url = outside.unwrap_or_else(|| address(stack));
        for (user, key, purpose) in accounts {
            let Some(password) = secrets::optional(&stack.cluster, NAME, key).await? else {
                continue;
            };
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

    fn rotated(&self, stack: &Stack) -> Vec<SecretSpec> {
        accounts::rotated(stack)
    }

    async fn outside_url(&self, stack: &Stack) -> Result<Option<String>> {
        outside_url(stack).await
    }
}

/// Why Moodle sends no events, if its settings, its cron or its volume is the cause.
///
/// # Errors
/// When the password of the LRS account cannot be read.
pub async fn why_nothing_is_sent(stack: &Stack, state: &State) -> Result<Option<String>> {
    Ok(setup_problem(stack, state).await?.or_else(|| full_volume(state)))
}

async fn setup_problem(stack: &Stack, state: &State) -> Result<Option<String>> {
    if state.queue.is_none() {
        return Ok(Some("the plugin that sends events is not installed".into()));
    }
    let mut differences = settings::differences(stack, state).await?;
    differences.extend(store::difference(state));
    let settings = Observation::compared(differences, String::new);
    Ok(if settings.is_fault() { Some(settings.text()) } else { cron::problem(state) })
}

/// The observation of the events on their way to the LRS, and of the settings that send them.
async fn hop(stack: &Stack, state: &State) -> Observation {
    let why = match setup_problem(stack, state).await {
        Ok(why) => why,
        Err(error) => return failed(&error),
    };
    let Some(queue) = &state.queue else { return unhealthy(why.unwrap_or_default()) };
    let faults: Vec<String> = [why, stuck(queue, state.now), lost(queue), full_volume(state)]
        .into_iter()
        .flatten()
        .collect();
    let (events, waiting) = (units::count(queue.logged), units::count(queue.waiting));
    let mut text = format!("{events} events, {waiting} waiting");
    let rejected: u64 =
        queue.failed.iter().filter(|failed| failed.alone).map(|failed| failed.events).sum();
    if rejected > 0 {
        text.push_str(&format!(", {} rejected by the LRS", units::count(rejected)));
    }
    // a password that a user chose is reported, and is not a fault
    if state.admin_password_changed {
        text.push_str(", the administrator's password was changed");
    }
    match faults.is_empty() {
        true => Observation::Equal(text),
        false => unhealthy(format!("{text}; {}", faults.join("; "))),
    }
}

/// The numbers of waiting and failed events.
fn figures(queue: &Queue) -> Figures {
    let failed = |failed: &Failed| FailedEvents {
        cause: failed.cause(),
        events: failed.events,
        oldest: rfc3339(failed.oldest),
        sent_again: failed.is_due(),
    };
    Figures::Lms {
        events: queue.logged,
        events_last_hour: queue.logged_last_hour,
        waiting: queue.waiting,
        oldest_waiting: rfc3339(queue.oldest_waiting),
        failed: queue.failed.iter().map(failed).collect(),
    }
}

fn rfc3339(seconds: i64) -> Option<String> {
    time(seconds).map(|time| time.to_string())
}

/// A queue that is not processed.
fn stuck(queue: &Queue, now: i64) -> Option<String> {
    let waits = since(queue.oldest_waiting, now);
    (queue.oldest_waiting > 0 && waits > MAX_WAIT)
        .then(|| format!("the oldest event has waited for {}", units::age(waits)))
}

/// The duration between two times of Moodle.
fn since(then: i64, now: i64) -> Duration {
    Duration::from_secs(u64::try_from(now - then).unwrap_or_default())
}

/// The failed events that can be sent again.
fn lost(queue: &Queue) -> Option<String> {
    let due = queue.failed.iter().filter(|failed| failed.is_due());
    // of several with the same number, the first
    let main = due.rev().max_by_key(|failed| failed.events)?;
    Some(format!(
        "{} not delivered: {}; Moodle retries every few minutes, and `kubectl lastack replay` retries now",
        units::count(queue.due()),
        main.cause()
    ))
}

fn full_volume(state: &State) -> Option<String> {
    let free = state.free_bytes.filter(|free| *free < MIN_FREE_BYTES)?;
    Some(format!("the volume with Moodle's files is full, {} left", units::bytes(free)))
}

fn time(seconds: i64) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(seconds).ok().filter(|_| seconds > 0)
}

/// The address inside the cluster.
pub fn address(stack: &Stack) -> String {
    release::address(stack, COMPONENT, NAME)
}

/// A client for Moodle in a running Pod, even if the Pod is not ready.
///
/// # Errors
/// When no Pod of Moodle runs.
pub async fn client(stack: &Stack) -> Result<Moodle> {
    let Some(name) = pods::running(&stack.cluster, PODS).await? else {
        return Err(Failure::failed(format!(
            "no pod of Moodle runs in namespace {}",
            stack.namespace()
        ))
        .hint(
            "run `kubectl lastack status` for the cause, or `kubectl lastack install` to repair it",
        )
        .into());
    };
    Ok(Moodle::in_pod(stack, name))
}

/// The state of Moodle.
///
/// # Errors
/// When no Pod of Moodle runs, or its script fails.
pub async fn state(stack: &Stack) -> Result<Arc<State>> {
    stack.answers.get("", async { client(stack).await?.state().await }).await
}

#[cfg(test)]
mod tests {
    use super::client::Rejection;
    use super::*;

    fn queue(oldest_waiting: i64, failed: Vec<Failed>) -> Queue {
        Queue {
            logged: 10,
            logged_last_hour: 4,
            waiting: 3,
            oldest_waiting,
            last_sent: 0,
            newest_logged: 0,
            failed,
        }
    }

    fn failed(errortype: u32, alone: bool, events: u64) -> Failed {
        Failed {
            rejection: Rejection { errortype, response: String::new() },
            alone,
            events,
            oldest: 0,
        }
    }

    #[test]
    fn queue_is_stuck_when_oldest_event_waits_too_long() {
        assert_eq!(stuck(&queue(9_900, vec![]), 10_000), None);
        assert_eq!(stuck(&queue(0, vec![]), 10_000), None);
        assert!(stuck(&queue(9_000, vec![]), 10_000).unwrap().contains("16m"));
    }

    #[test]
    fn lost_events_exclude_inconvertible_ones_and_name_main_cause() {
        assert_eq!(lost(&queue(0, vec![failed(10_000, false, 900), failed(422, true, 2)])), None);
        let text = lost(&queue(0, vec![failed(401, false, 3), failed(0, false, 40)])).unwrap();
        assert!(text.starts_with("43 not delivered: the LRS could not be reached"), "{text}");
    }
}
