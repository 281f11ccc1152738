//! Superset, the dashboards: its accounts, its release, the connection to the data lake, the assets, and the size that they show.

mod accounts;
mod answers;
mod assets;
pub mod client;
pub mod dashboards;
pub mod database;
pub mod size;
mod superset;
mod teacher;

use std::pin::pin;

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

use crate::cluster::access::Permission;
use crate::cluster::helm::Install;
use crate::cluster::http::{Account, HttpClient};
use crate::cluster::{endpoint, object, secrets};
use crate::engine::{Node, Observation};
use crate::error::{Diagnosis, Failure};
use crate::stack::Stack;
use crate::stack::component::ComponentName;
use crate::stack::profiles::{DatabaseSize, Profile, ReplicaSize};
use crate::stack::resources::Resources;

use super::model::{Component, Credential, Declaration, Exposure, Health, failed, fault};
use super::postgresql::Database;
use super::release;
use super::remains::{Kinds, kind};

use client::{Kind, Superset};
use dashboards::bundle::{Bundle, FIRST};
use dashboards::standing::{Standing, compare};

pub const COMPONENT: ComponentName = ComponentName::new("dataviz");
const RELEASE: &str = "dataviz";
/// The Deployment, the Service and the Secret of the accounts.
pub const NAME: &str = "dataviz-superset";
/// Of Superset's own data, not of the statements.
const POSTGRESQL: Database =
    Database { part: "Superset", component: COMPONENT, name: "dataviz-postgresql" };
/// The tool's own account, so that no password that a person changes locks it out.
const USER: &str = "lastack";
/// What is in its volume.
const STORES: &str = "what users made in Superset";

/// The kinds that its chart makes.
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

static DECLARATION: Declaration = Declaration {
    name: COMPONENT,
    kinds: KINDS,
    permissions: &[
        Permission::new("create", "", "persistentvolumeclaims"),
        Permission::new("create", "apps", "statefulsets"),
        Permission::new("patch", "apps", "statefulsets"),
        Permission::new("create", "batch", "jobs"),
        Permission::new("list", "batch", "jobs"),
        Permission::new("create", "batch", "cronjobs"),
        Permission::new("patch", "batch", "cronjobs"),
    ],
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
    /// Background workers, each as big as a pod of the web server; with any of them come a cache and a scheduler.
    workers: u32,
}

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
            Node::check(answers::Answers),
            Node::resource(size::SizeMeasurement),
            Node::resource(database::Connection),
            Node::resource(assets::Assets),
            Node::resource(teacher::Teacher),
        ]
    }

    fn pods(&self, profile: Profile) -> Vec<(Resources, u32)> {
        let size: Size = profile.size_of(COMPONENT);
        vec![
            (size.web.requests(), size.web.replicas + size.workers),
            (size.postgresql.requests(), 1),
        ]
    }

    fn volumes(&self, stack: &Stack) -> Option<(String, usize)> {
        POSTGRESQL.is_ours(stack).then(|| (object::of_release(RELEASE), 1))
    }

    async fn release(&self, stack: &Stack) -> Result<Option<Install>> {
        superset::SupersetRelease::install(stack).await.map(Some)
    }

    async fn health(&self, stack: &Stack) -> Health {
        let (runs, pods, asked) =
            join3(release::runs(stack, RELEASE), pods(stack), ask(stack)).await;
        if matches!(runs, Observation::Missing(_)) {
            return Health::not_installed();
        }
        let (answers, data) = match asked {
            Ok((answers, data)) => (answers, Some(data)),
            Err(error) => (failed(&error), None),
        };
        Health {
            runs: Some(runs),
            pods: Some(pods),
            answers: Some(answers),
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
            [("admin", "everything in Superset"), ("teacher", "looks at the dashboards")]
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

    /// The dashboard to look at first, else, when a user deleted it, the list of all.
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

/// Those of the web server, and what keeps others that it works with.
async fn pods(stack: &Stack) -> Observation {
    let (web, others) =
        join(release::pods(stack, NAME), superset::behind_the_web_server(stack)).await;
    match (web, others) {
        (Observation::Equal(web), Ok(Some(state))) => match state.reason() {
            Some(why) => fault(format!("{web}: {why}")),
            None => Observation::Equal(web),
        },
        (Observation::Equal(_), Err(error)) => failed(&error),
        (web, _) => web,
    }
}

/// Whether people can sign in, and what they then find.
async fn ask(stack: &Stack) -> Result<(Observation, Observation)> {
    let superset = client(stack).await?;
    // a password that a person chose is the person's: it is said, and is no fault
    let own = if sign_in(stack, "admin").await?.is_some() {
        ""
    } else {
        ", admin has a password of their own"
    };
    let answers = Observation::Equal(format!("login ok{own}"));
    let bundle = Bundle::ours()?;
    let (mut standings, of_the_connection, of_the_size) = try_join3(
        compare(stack, &superset, &bundle),
        database::fault(stack, &superset),
        size::fault(stack),
    )
    .await?;
    let broken = of_the_connection.or(of_the_size.map(|diagnosis: Diagnosis| diagnosis.sentence()));
    // the connection that is there is a resource of its own, whose observation counts
    standings
        .retain(|(asset, standing)| asset.kind != Kind::Database || *standing == Standing::Missing);
    let there = |kind| {
        standings
            .iter()
            .filter(|(asset, standing)| asset.kind == kind && standing.is_there())
            .count()
    };
    let count = |wanted| standings.iter().filter(|(_, standing)| *standing == wanted).count();
    let theirs = standings.iter().filter(|(_, standing)| standing.is_a_persons()).count();
    let mut data = format!("{} dashboards, {} charts", there(Kind::Dashboard), there(Kind::Chart));
    if theirs > 0 {
        data.push_str(&format!(", {theirs} changed by people"));
    }
    match standings.iter().filter(|(_, standing)| matches!(standing, Standing::Held { .. })).count()
    {
        0 => {}
        held => data
            .push_str(&format!(", {held} held back (`kubectl lastack dashboards apply` says why)")),
    }
    // those of another version of this program still show what they say
    match count(Standing::Outdated) {
        0 => {}
        old => data.push_str(&format!(", {old} of another version")),
    }
    Ok((
        answers,
        match (broken, count(Standing::Missing)) {
            (Some(broken), _) => fault(broken),
            (None, 0) => Observation::Equal(data),
            (None, missing) => fault(format!("{data}, {missing} not brought yet")),
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

/// Superset as the tool's own account.
pub async fn client(stack: &Stack) -> Result<Superset> {
    sign_in(stack, USER).await?.ok_or_else(|| {
        Failure::failed(format!(
            "Superset does not accept the password of account {USER}, which is the tool's own"
        ))
        .hint("`kubectl lastack install` gives the account the password of its Secret again")
        .into()
    })
}

/// None when Superset does not accept the password of the Secret.
async fn sign_in(stack: &Stack, user: &str) -> Result<Option<Superset>> {
    let password: SecretString =
        secrets::value(&stack.cluster, NAME, &format!("{user}-password")).await?;
    let account = Account { user: user.into(), password };
    let login = pin!(Superset::login(http(stack)?, &account));
    let down = pin!(POSTGRESQL.fault(stack));
    // without its database Superset gives a login no answer for a minute, and then no reason
    match select(login, down).await {
        Either::Right((Some(fault), _)) => Err(fault),
        Either::Right((None, login)) => {
            login.await.map_err(|error| POSTGRESQL.may_have_caused(stack, error))
        }
        Either::Left((Err(error), down)) => {
            Err(down.await.unwrap_or_else(|| POSTGRESQL.may_have_caused(stack, error)))
        }
        Either::Left((login, _)) => login,
    }
}
