//! Ralph, the LRS: its accounts, its release and its health.

mod accounts;
pub mod client;
mod release;
mod responds;
pub mod sources;
mod users;
mod validation;

use anyhow::Result;
use async_trait::async_trait;
use futures::future::{join, join4};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use secrecy::SecretString;

use crate::cluster::access::{Rule, Rules};
use crate::cluster::helm::Install;
use crate::cluster::http::Account;
use crate::cluster::{endpoint, object, secrets};
use crate::engine::{Id, Node, Observation};
use crate::error;
use crate::stack::Stack;
use crate::stack::component::ComponentName;
use crate::stack::profiles::ReplicaSize;
use crate::stack::resources::Resources;
use crate::stack::settings::Settings;

use super::access::{Access, NONE};
use super::datalake;
use super::healthy::Healthy;
use super::model::{Component, Credential, Declaration, Exposure, Health, failed, unhealthy};
use super::remains::{Kinds, kind};
use super::secrets::SecretSpec;

use client::{Cursor, Ralph};
use sources::Login;
use users::USER;

pub use accounts::{moodle_account, require_free};
pub use responds::probe;
pub use users::{MOODLE, mailbox, user_of};

pub const COMPONENT: ComponentName = ComponentName::new("lrs");
const RELEASE: &str = "lrs";
/// The name of the Deployment, the Service and the Secret.
pub const NAME: &str = "lrs-ralph";
/// The path of the xAPI endpoint.
const PATH: &str = "/xAPI";

/// Its size in `manifests/profiles.yaml`.
type Size = ReplicaSize;

/// The kinds of objects in its chart.
const KINDS: Kinds = &[
    kind::<Deployment>,
    kind::<Pod>,
    kind::<Service>,
    kind::<ServiceAccount>,
    kind::<ConfigMap>,
    kind::<NetworkPolicy>,
    kind::<Ingress>,
    kind::<HorizontalPodAutoscaler>,
    kind::<PodDisruptionBudget>,
];

pub const ACCOUNTS: Rule =
    Rule::new("", "secrets", &["get"], "the accounts of the LRS").named(&[NAME]);
const SERVICE: Rule =
    Rule::new("", "services", &["get"], "the addresses of the components").named(&[NAME]);
pub const ADDRESSES: Rules = &[
    SERVICE,
    Rule::new("networking.k8s.io", "ingresses", &["get"], "the addresses from outside the cluster")
        .named(&[NAME]),
];

/// What [`client`] needs, with a port-forward.
pub const CLIENT: Rules = &[ACCOUNTS, SERVICE];

static DECLARATION: Declaration = Declaration {
    name: COMPONENT,
    release: Some(RELEASE),
    stateful_sets: &[],
    pods: &[(object::INSTANCE, RELEASE)],
    kinds: KINDS,
    access: Access {
        health: &[
            CLIENT,
            ADDRESSES,
            &[Rule::new("apps", "deployments", &["get"], "the workloads").named(&[NAME])],
            datalake::READER,
        ],
        credentials: &[&[ACCOUNTS], ADDRESSES],
        page: &[ADDRESSES],
        ..NONE
    },
    exposure: Some(Exposure { service: NAME, page: "Ralph", local_port: None }),
    stores: None,
};

pub struct Lrs;

#[async_trait]
impl Component for Lrs {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }

    fn nodes(&self) -> Vec<Node<Stack>> {
        vec![
            Node::resource(accounts::ACCOUNTS),
            Node::resource(release::RalphRelease),
            Node::check(responds::LrsResponds),
        ]
    }

    fn checks(&self) -> Vec<Node<Stack>> {
        vec![Node::check(Healthy {
            component: &Lrs,
            id: Id("lrs.healthy"),
            needs: &[Id("lrs.responds"), Id("datalake.index")],
        })]
    }

    fn pods(&self, settings: &Settings) -> Vec<(Resources, u32)> {
        let size: Size = settings.profile().size_of(COMPONENT);
        vec![settings.pods(COMPONENT, "", (size.requests(), size.replicas))]
    }

    async fn release(&self, stack: &Stack) -> Result<Option<Install>> {
        release::RalphRelease::install(stack).await.map(Some)
    }

    async fn health(&self, stack: &Stack) -> Health {
        let (runs, pods, response, data) = join4(
            super::release::runs(stack, RELEASE, NAME),
            super::release::pods(stack, NAME),
            probe(stack),
            join(datalake::why_nothing_is_stored(stack), unreadable(stack)),
        )
        .await;
        if matches!(runs, Observation::Missing(_)) {
            return Health::not_installed();
        }
        // the heartbeat does not test writes; the row of the data lake gives the reason
        let data = match (&response, data) {
            (Ok(_), (Ok(Some(_)), _)) => Some(unhealthy("cannot store statements")),
            (Ok(_), (_, Some(why))) => Some(unhealthy(why)),
            (Ok(_), (Ok(None), None)) => Some(Observation::Equal("accepts statements".into())),
            _ => None,
        };
        Health {
            runs: Some(runs),
            pods: Some(pods),
            response: Some(response.map_or_else(|error| failed(&error), Observation::Equal)),
            data,
            url: endpoint::url(&stack.cluster, NAME).await.ok().flatten(),
            inside: Some(endpoint(stack)),
            ..Health::default()
        }
    }

    async fn credentials(&self, stack: &Stack) -> Result<Vec<Credential>> {
        // Moodle's account is not for users
        let Some(password) = secrets::optional(&stack.cluster, NAME, "password").await? else {
            return Ok(Vec::new());
        };
        let outside = endpoint_outside(stack).await.ok().flatten();
        Ok(vec![Credential {
            user: USER.into(),
            password,
            purpose: "stores and reads all statements",
            secret: format!("{NAME}/password"),
            url: outside.unwrap_or_else(|| endpoint(stack)),
        }])
    }

    fn rotated(&self, stack: &Stack) -> Vec<SecretSpec> {
        vec![accounts::secret(stack)]
    }

    async fn page(&self, _: &Stack) -> Result<String> {
        Ok("/__heartbeat__".into())
    }
}

/// Why the LRS cannot return the newest statements. None when it can, or when it is not healthy.
async fn unreadable(stack: &Stack) -> Option<String> {
    let ralph = client(stack).await.ok()?;
    let error = ralph.page(&Cursor::Query("limit=100".into())).await.err()?;
    if !ralph.is_healthy().await.ok()? {
        return None;
    }
    let found = match datalake::reader(stack).await {
        Ok(elasticsearch) => elasticsearch.unreadable().await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    Some(match found.first() {
        Some(id) => {
            format!(
                "cannot return statement {id}; delete it with `kubectl lastack statements delete {id}`"
            )
        }
        None => format!("cannot return the newest statements: {}", error::one_line(&error)),
    })
}

/// The address inside the cluster.
fn address(stack: &Stack) -> String {
    super::release::address(stack, COMPONENT, NAME)
}

/// The xAPI endpoint inside the cluster.
pub fn endpoint(stack: &Stack) -> String {
    format!("{}{PATH}", address(stack))
}

/// The xAPI endpoint for a client outside the cluster. None: the LRS is not exposed.
///
/// # Errors
/// When the Service or the Ingress of the LRS cannot be read.
pub async fn endpoint_outside(stack: &Stack) -> Result<Option<String>> {
    let url = endpoint::url(&stack.cluster, NAME).await?;
    Ok(url.map(|url| format!("{url}{PATH}")))
}

/// Whether the LRS accepts a login.
///
/// # Errors
/// When it does not respond.
pub async fn accepts(stack: &Stack, login: &Login) -> Result<bool> {
    let account = Account { user: login.user.clone(), password: login.password.clone() };
    let ralph = Ralph::new(stack.service(&address(stack))?, &account)?;
    Ok(ralph.whoami().await?.status.is_success())
}

/// A client with the account of the administrator.
///
/// # Errors
/// When the Secret with the password is absent or cannot be read.
pub async fn client(stack: &Stack) -> Result<Ralph> {
    let password: SecretString = secrets::value(&stack.cluster, NAME, "password").await?;
    Ralph::new(stack.service(&address(stack))?, &Account { user: USER.into(), password })
}
