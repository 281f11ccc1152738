//! Superset (dashboards): accounts, release, connection to the data lake, assets, and the measurement of the data lake.

mod accounts;
mod assets;
pub mod client;
pub mod dashboards;
pub mod database;
mod responds;
mod restored;
pub mod size;
mod superset;
mod teacher;

use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use futures::future::{Either, join, join3, select, try_join3};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use crate::cluster::access::{Rule, Rules};
use crate::cluster::helm::Install;
use crate::cluster::http::{Account, HttpClient};
use crate::cluster::{endpoint, object, secrets, tunnel};
use crate::engine::{Id, Node, Observation};
use crate::error::{Diagnosis, Failure};
use crate::stack::Stack;
use crate::stack::component::ComponentName;
use crate::stack::profiles::{DatabaseSize, ReplicaSize};
use crate::stack::resources::Resources;
use crate::stack::settings::Settings;

use super::access::{Access, MANAGE};
use super::datalake;
use super::model::{
    Component, Credential, DataStore, Declaration, Exposure, Health, failed, unhealthy,
};
use super::postgresql::Database;
use super::release;
use super::remains::{Kinds, kind};
use super::secrets::SecretSpec;

pub use restored::{FORGET_ENCRYPTED, key_checksum, restart};

use client::{Kind, Superset};
use dashboards::bundle::{Bundle, FIRST};
use dashboards::record;
use dashboards::sync_state::{SyncState, compare};

pub const COMPONENT: ComponentName = ComponentName::new("dataviz");
const RELEASE: &str = "dataviz";
/// The Deployment, the Service and the Secret of the accounts.
pub const NAME: &str = "dataviz-superset";
/// Superset's metadata database in backups.
pub const METADATA: Id = Id("dataviz.postgresql");
/// The record of applied dashboards in backups.
const RECORD: Id = Id("dataviz.record");
/// The migrations that the metadata database has.
const SCHEMA: &str =
    "SELECT string_agg(version_num, ',' ORDER BY version_num) FROM alembic_version";
/// Superset's metadata database. It contains no statements.
const POSTGRESQL: Database = Database {
    program: "Superset",
    component: COMPONENT,
    name: "dataviz-postgresql",
    client: "dataviz-postgresql-client",
};
/// The tool's own account, which keeps working when a user changes the password of `admin`.
const USER: &str = "lastack";
/// The content of its volume.
const STORES: &str = "users' dashboards in Superset";

/// The kinds that its chart creates.
const KINDS: Kinds = &[
    kind::<Deployment>,
    kind::<StatefulSet>,
    kind::<Job>,
    kind::<Pod>,
    kind::<Service>,
    kind::<ServiceAccount>,
    kind::<ConfigMap>,
    kind::<NetworkPolicy>,
    kind::<Ingress>,
    kind::<HorizontalPodAutoscaler>,
    kind::<PodDisruptionBudget>,
];

const PREPARATION: &str = "the Job that prepares Superset's database";
const ACCOUNTS: Rule =
    Rule::new("", "secrets", &["get"], "the accounts of Superset").named(&[NAME]);
const SERVICE: Rule =
    Rule::new("", "services", &["get"], "the addresses of the components").named(&[NAME]);
const DATABASE: Rule =
    Rule::new("apps", "statefulsets", &["get"], "the databases").named(&[POSTGRESQL.name]);
const ADDRESSES: Rules = &[
    SERVICE,
    Rule::new("networking.k8s.io", "ingresses", &["get"], "the addresses from outside the cluster")
        .named(&[NAME]),
];

/// What [`key_checksum`] needs.
pub const KEY: Rules = &[ACCOUNTS];

/// What [`restart`] needs, in addition to the permissions of `install`.
pub const RESTART: Rules =
    &[Rule::new("", "pods", &["deletecollection"], "Pods that must start again")];

/// What [`client`] needs, with a port-forward.
pub const CLIENT: Rules = &[ACCOUNTS, SERVICE, DATABASE];

static DECLARATION: Declaration = Declaration {
    name: COMPONENT,
    release: Some(RELEASE),
    stateful_sets: &[POSTGRESQL.name],
    pods: &[(object::INSTANCE, RELEASE), (object::INSTANCE, datalake::SIZES)],
    kinds: KINDS,
    access: Access {
        install: &[
            &[
                Rule::new("apps", "statefulsets", MANAGE, "the databases"),
                Rule::new("batch", "jobs", MANAGE, PREPARATION),
                Rule::new("batch", "jobs", &["deletecollection"], PREPARATION),
            ],
            size::MANAGE,
        ],
        configure: &[
            CLIENT,
            tunnel::RULES,
            datalake::ACCOUNT_OF_DASHBOARDS,
            record::READ,
            record::WRITE,
        ],
        health: &[
            CLIENT,
            ADDRESSES,
            // the web server, and the other workloads of the release
            &[Rule::new("apps", "deployments", &["get", "list"], "the workloads")],
            record::READ,
            size::READ,
        ],
        credentials: &[&[ACCOUNTS], ADDRESSES],
        page: &[CLIENT, ADDRESSES],
    },
    exposure: Some(Exposure {
        service: NAME,
        page: "Superset, at the first dashboard",
        local_port: None,
    }),
    stores: Some(STORES),
};

/// Its size in `manifests/profiles.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Size {
    web: ReplicaSize,
    postgresql: DatabaseSize,
    /// Number of background workers, each the size of a web server Pod. Workers need a cache and a scheduler.
    workers: u32,
}

/// The requests of the Pod that installs the drivers, from `charts/superset/templates/drivers.yaml`.
const DRIVERS: Resources = Resources { millicores: 10, memory_bytes: 64 << 20 };

pub struct Dataviz;

#[async_trait]
impl Component for Dataviz {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }

    fn nodes(&self) -> Vec<Node<Stack>> {
        vec![
            Node::resource(accounts::ACCOUNTS),
            Node::resource(superset::SupersetRelease),
            Node::check(responds::SupersetResponds),
            Node::resource(size::SizeMeasurement),
            Node::resource(database::DatabaseConnection),
            Node::resource(assets::Assets),
            Node::resource(teacher::Teacher),
        ]
    }

    fn pods(&self, settings: &Settings) -> Vec<(Resources, u32)> {
        let size: Size = settings.profile().size_of(COMPONENT);
        let (web, postgresql) = (size.web.requests(), size.postgresql.requests());
        let mut pods = vec![
            settings.pods(COMPONENT, "", (web, size.web.replicas)),
            settings.pods(COMPONENT, "/postgresql", (postgresql, 1)),
        ];
        if size.workers > 0 {
            pods.push(settings.pods(COMPONENT, "/worker", (web, size.workers)));
        }
        let values = settings.values_of(COMPONENT);
        let installs_drivers = values.and_then(|values| values.pointer("/drivers/install"));
        if installs_drivers.and_then(Value::as_bool) != Some(false) {
            pods.push((DRIVERS, 1));
        }
        pods
    }

    fn data(&self, settings: &Settings) -> Vec<(Id, DataStore)> {
        vec![
            (METADATA, POSTGRESQL.data_store(settings)),
            (RECORD, DataStore::ConfigMap(record::NAME)),
        ]
    }

    async fn schema(&self, stack: &Stack) -> Result<Option<String>> {
        POSTGRESQL.schema(stack, SCHEMA).await.map(Some)
    }

    fn volumes(&self, stack: &Stack) -> Option<(String, usize)> {
        POSTGRESQL.is_ours(stack).then(|| (object::of_release(RELEASE), 1))
    }

    async fn release(&self, stack: &Stack) -> Result<Option<Install>> {
        superset::SupersetRelease::install(stack).await.map(Some)
    }

    async fn health(&self, stack: &Stack) -> Health {
        let (runs, pods, asked) =
            join3(release::runs(stack, RELEASE, NAME), pods(stack), ask(stack)).await;
        if matches!(runs, Observation::Missing(_)) {
            return Health::not_installed();
        }
        let (response, data) = match asked {
            Ok((response, data)) => (response, Some(data)),
            Err(error) => (failed(&error), None),
        };
        Health {
            runs: Some(runs),
            pods: Some(pods),
            response: Some(response),
            data,
            url: endpoint::url(&stack.cluster, NAME).await.ok().flatten(),
            inside: Some(address(stack)),
            ..Health::default()
        }
    }

    async fn credentials(&self, stack: &Stack) -> Result<Vec<Credential>> {
        let mut found = Vec::new();
        let outside = endpoint::url(&stack.cluster, NAME).await.ok().flatten();
        let url = outside.unwrap_or_else(|| address(stack));
        for (user, purpose) in
            [("admin", "administer Superset"), ("teacher", "view the dashboards")]
        {
            let key = format!("{user}-password");
            let Some(password) = secrets::optional(&stack.cluster, NAME, &key).await? else {
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

    /// The first dashboard, or the list of dashboards when a user deleted it.
    async fn page(&self, stack: &Stack) -> Result<String> {
        let ours = Bundle::ours()?;
        let first = ours
            .find(Kind::Dashboard, |asset| asset.name == FIRST)
            .context("dashboards/ has no first dashboard")?;
        let listed = client(stack).await?.find(Kind::Dashboard, first.uuid).await?;
        Ok(listed.map_or("/dashboard/list/".into(), |listed| {
            format!("/superset/dashboard/{}/", listed.slug.unwrap_or(listed.id.to_string()))
        }))
    }
}

/// The web server's Pods, and the problem of other workloads of the release, if any.
async fn pods(stack: &Stack) -> Observation {
    let (web, others) =
        join(release::pods(stack, NAME), superset::behind_the_web_server(stack)).await;
    match (web, others) {
        (Observation::Equal(web), Ok(Some(state))) => match state.reason() {
            Some(why) => unhealthy(format!("{web}: {why}")),
            None => Observation::Equal(web),
        },
        (Observation::Equal(_), Err(error)) => failed(&error),
        (web, _) => web,
    }
}

/// Whether users can sign in, and the state of the assets.
async fn ask(stack: &Stack) -> Result<(Observation, Observation)> {
    let superset = client(stack).await?;
    // a password that a user chose is reported, and is not a fault
    let own = if sign_in(stack, "admin").await?.is_some() {
        ""
    } else {
        ", admin's password was changed"
    };
    let response = Observation::Equal(format!("login ok{own}"));
    let bundle = Bundle::ours()?;
    let (mut states, of_the_connection, of_the_size) = try_join3(
        compare(stack, &superset, &bundle),
        database::connection_problem(stack, &superset),
        size::measurement_problem(stack),
    )
    .await?;
    let broken = of_the_connection.or(of_the_size.map(|diagnosis: Diagnosis| diagnosis.sentence()));
    // an existing connection is a separate resource with its own observation
    states.retain(|(asset, state)| asset.kind != Kind::Database || *state == SyncState::Missing);
    let live =
        |kind| states.iter().filter(|(asset, state)| asset.kind == kind && state.is_live()).count();
    let count = |wanted| states.iter().filter(|(_, state)| *state == wanted).count();
    let users = states.iter().filter(|(_, state)| state.is_users()).count();
    let mut data = format!("{} dashboards, {} charts", live(Kind::Dashboard), live(Kind::Chart));
    if users > 0 {
        data.push_str(&format!(", {users} changed by users"));
    }
    match states.iter().filter(|(_, state)| matches!(state, SyncState::Blocked { .. })).count() {
        0 => {}
        held => data.push_str(&format!(
            ", {held} blocked (run `kubectl lastack dashboards apply` for the cause)"
        )),
    }
    // outdated assets still work
    match count(SyncState::Outdated) {
        0 => {}
        old => data.push_str(&format!(", {old} outdated")),
    }
    Ok((
        response,
        match (broken, count(SyncState::Missing)) {
            (Some(broken), _) => unhealthy(broken),
            (None, 0) => Observation::Equal(data),
            (None, missing) => unhealthy(format!("{data}, {missing} not applied")),
        },
    ))
}

/// The address inside the cluster.
pub fn address(stack: &Stack) -> String {
    release::address(stack, COMPONENT, NAME)
}

fn http(stack: &Stack) -> Result<HttpClient> {
    stack.service(&address(stack))
}

/// A client for Superset, signed in with the tool's own account.
///
/// # Errors
/// When Superset does not respond, or rejects the account.
pub async fn client(stack: &Stack) -> Result<Arc<Superset>> {
    let rejected = || {
        Failure::failed(format!("Superset: login of the tool's own account {USER}: wrong password"))
            .hint("run `kubectl lastack install` to reset the password")
    };
    stack.answers.get("", async { Ok(sign_in(stack, USER).await?.ok_or_else(rejected)?) }).await
}

/// None when Superset rejects the password in the Secret.
async fn sign_in(stack: &Stack, user: &str) -> Result<Option<Superset>> {
    let password: SecretString =
        secrets::value(&stack.cluster, NAME, &format!("{user}-password")).await?;
    let account = Account { user: user.into(), password };
    let login = pin!(Superset::login(http(stack)?, &account));
    let down = pin!(POSTGRESQL.problem(stack));
    // without its database, Superset responds to a login after a minute, without a reason
    match select(login, down).await {
        Either::Right((Some(error), _)) => Err(error),
        Either::Right((None, login)) => {
            login.await.map_err(|error| POSTGRESQL.may_have_caused(stack, error))
        }
        Either::Left((Err(error), down)) => {
            Err(down.await.unwrap_or_else(|| POSTGRESQL.may_have_caused(stack, error)))
        }
        Either::Left((login, _)) => login,
    }
}
