//! The data lake: Elasticsearch, managed by the ECK operator, with its accounts and the index of statements.

mod accounts;
mod checks;
pub mod client;
mod cluster;
mod index;
mod network;
mod resource;
mod staged;
mod volumes;

use anyhow::{Context, Result};
use async_trait::async_trait;
use futures::future::{join, join4};
use k8s_openapi::api::core::v1::{ContainerState, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, GroupVersionKind};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cluster::access::{Rule, Rules};
use crate::cluster::http::{Account, HttpClient};
use crate::cluster::{object, pods, secrets};
use crate::engine::{Id, Node, Observation};
use crate::error::{Diagnosis, Failure};
use crate::output::units;
use crate::simulator;
use crate::stack::Stack;
use crate::stack::component::ComponentName;
use crate::stack::resources::Resources;
use crate::stack::settings::Settings;

use super::access::{Access, NONE};
use super::model::{
    Component, Credential, DataStore, Declaration, Figures, Health, failed, readiness, unhealthy,
};
use super::remains;
use super::secrets::SecretSpec;

use client::{ClusterHealth, Contents, Elasticsearch, LastHour};
use resource::Live;
use volumes::Owner;

pub use accounts::user_secret;
pub use client::{INDEX, Origins, RESTORED, SIZES};
pub use index::{compared, index_by_hand};
pub use resource::{body, nodes, own_image};
pub use staged::{exchange, stage};

pub const COMPONENT: ComponentName = ComponentName::new("datalake");
/// The statements in backups.
pub const STATEMENTS: Id = Id("datalake.statements");
/// The name of the ECK resource, and the prefix of its Services, Secrets and Pods.
pub const RESOURCE: &str = "data-lake";
/// The operator's label with the name of the resource that an object belongs to.
const CLUSTER_LABEL: &str = "elasticsearch.k8s.elastic.co/cluster-name";
/// The Service of the HTTP API.
pub const SERVICE: &str = "data-lake-es-http";
const STATEFUL_SET: &str = "data-lake-es-default";
/// The Secret in which ECK stores the certificate authority of the HTTP API.
pub const AUTHORITY_SECRET: &str = "data-lake-es-http-certs-public";
const ELASTIC_SECRET: &str = "data-lake-es-elastic-user";
const PODS: &str = "elasticsearch.k8s.elastic.co/cluster-name=data-lake";
const GROUP: &str = "elasticsearch.k8s.elastic.co";
/// The operator's label with the version of the node in a Pod.
const VERSION_LABEL: &str = "elasticsearch.k8s.elastic.co/version";
/// The container of a node.
const CONTAINER: &str = "elasticsearch";

/// The plural of [`kind`].
const KINDS: &str = "elasticsearches";
const RESOURCES: &str = "the data lake";

const SERVICE_OF_API: Rule =
    Rule::new("", "services", &["get"], "the addresses of the components").named(&[SERVICE]);
const AUTHORITY: Rule =
    Rule::new("", "secrets", &["get"], "the public certificate of the data lake's authority")
        .named(&[AUTHORITY_SECRET]);

/// What [`client`] needs, with a port-forward.
pub const CLIENT: Rules = &[
    SERVICE_OF_API,
    AUTHORITY,
    Rule::new("", "secrets", &["get"], "the account that manages the indices of the stack")
        .named(&[accounts::TOOL_SECRET]),
];

const READER_ACCOUNT: Rule =
    Rule::new("", "secrets", &["get"], "the account that reads the indices of the stack")
        .named(&[accounts::READER_SECRET]);

/// What [`reader`] needs, with a port-forward.
pub const READER: Rules = &[SERVICE_OF_API, AUTHORITY, READER_ACCOUNT];

/// What Superset's connection needs.
pub const ACCOUNT_OF_DASHBOARDS: Rules = &[READER_ACCOUNT];

/// What `uninstall` needs, in addition to the permissions for all objects.
pub const UNINSTALL: Rules = &[
    Rule::new(GROUP, KINDS, &["delete", "get", "patch"], RESOURCES).named(&[RESOURCE]),
    Rule::new("", "persistentvolumeclaims", &["patch"], "marks the volumes of the data lake"),
];

static DECLARATION: Declaration = Declaration {
    name: COMPONENT,
    release: None,
    stateful_sets: &[],
    pods: &[(CLUSTER_LABEL, RESOURCE)],
    // the operator deletes the resource's objects with it
    kinds: &[remains::kind::<NetworkPolicy>],
    access: Access {
        install: &[&[
            Rule::new(GROUP, KINDS, &["create"], RESOURCES),
            Rule::new(GROUP, KINDS, &["get", "patch"], RESOURCES).named(&[RESOURCE]),
        ]],
        health: &[READER, &[Rule::new(GROUP, KINDS, &["get"], RESOURCES).named(&[RESOURCE])]],
        credentials: &[&[Rule::new("", "secrets", &["get"], "the administrator of Elasticsearch")
            .named(&[ELASTIC_SECRET])]],
        ..NONE
    },
    exposure: None,
    stores: Some("all statements"),
};

/// Its size in `manifests/profiles.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Size {
    nodes: u32,
    cpu: Quantity,
    memory: Quantity,
    storage: Quantity,
    /// Whether the volumes outlive the Elasticsearch resource. `uninstall` deletes them in any case.
    #[serde(default, rename = "keepVolumes")]
    keep_volumes: bool,
    /// Additional settings of Elasticsearch for this size.
    #[serde(default)]
    config: Map<String, Value>,
}

pub struct Datalake;

#[async_trait]
impl Component for Datalake {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }

    fn nodes(&self) -> Vec<Node<Stack>> {
        vec![
            Node::resource(accounts::ACCOUNTS),
            Node::resource(network::NetworkPolicies),
            Node::resource(resource::ElasticsearchResource),
            Node::check(cluster::Cluster),
            Node::resource(index::Index),
        ]
    }

    fn checks(&self) -> Vec<Node<Stack>> {
        checks::nodes()
    }

    fn pods(&self, settings: &Settings) -> Vec<(Resources, u32)> {
        let size: Size = settings.profile().size_of(COMPONENT);
        let own = settings.values_of(COMPONENT).and_then(resource::pods_of);
        let profile = || vec![(Resources::of(Some(&size.cpu), Some(&size.memory)), size.nodes)];
        own.unwrap_or_else(profile)
    }

    /// The newest version that has started on its volumes.
    async fn schema(&self, stack: &Stack) -> Result<Option<String>> {
        let pods = pods::list(&stack.cluster, PODS).await?;
        let version = |pod: &Pod| semver::Version::parse(&started(pod)?).ok();
        Ok(pods.iter().filter_map(version).max().map(|newest| newest.to_string()))
    }

    fn data(&self, _: &Settings) -> Vec<(Id, DataStore)> {
        vec![(STATEMENTS, DataStore::Statements)]
    }

    fn volumes(&self, stack: &Stack) -> Option<(String, usize)> {
        Some((PODS.into(), nodes(stack) as usize))
    }

    async fn health(&self, stack: &Stack) -> Health {
        let (resource, (pods, responses)) =
            join(resource::live(stack), join(pods::list(&stack.cluster, PODS), request(stack)))
                .await;
        let runs = match &resource {
            Ok(Some(live)) if live.phase() == "Ready" => {
                Observation::Equal(live.version().to_string())
            }
            Ok(Some(live)) => unhealthy(format!("{}, {}", live.version(), live.phase())),
            Ok(None) => return Health::not_installed(),
            Err(error) => failed(error),
        };
        // without permission to read the resource, the settings give the number of nodes
        let wanted = resource.as_ref().ok().and_then(|live| live.as_ref()?.nodes());
        let wanted = wanted.unwrap_or_else(|| nodes(stack));
        let pods = match pods {
            Ok(pods) => readiness(&stack.cluster, &pods, wanted as usize).await,
            Err(error) => failed(&error.into()),
        };
        let mut health = Health {
            runs: Some(runs),
            pods: Some(pods),
            inside: Some(address(stack)),
            ..Health::default()
        };
        match responses {
            Ok(responses) => responses.describe(&mut health),
            Err(error) => health.response = Some(failed(&error)),
        }
        health
    }

    async fn credentials(&self, stack: &Stack) -> Result<Vec<Credential>> {
        let elastic = secrets::optional(&stack.cluster, ELASTIC_SECRET, "elastic").await?;
        let Some(password) = elastic else { return Ok(Vec::new()) };
        Ok(vec![Credential {
            user: "elastic".into(),
            password,
            purpose: "administers Elasticsearch",
            secret: format!("{ELASTIC_SECRET}/elastic"),
            url: address(stack),
        }])
    }

    fn rotated(&self, stack: &Stack) -> Vec<SecretSpec> {
        accounts::secrets(stack)
    }
}

/// The responses of Elasticsearch for its health.
struct Responses {
    health: ClusterHealth,
    contents: Result<Contents>,
    last_hour: Result<LastHour>,
    fault: Result<Option<String>>,
}

async fn request(stack: &Stack) -> Result<Responses> {
    let elasticsearch = reader(stack).await?;
    let generated = generated();
    let (health, contents, last_hour, fault) = join4(
        elasticsearch.health(),
        elasticsearch.contents(),
        elasticsearch.last_hour(&generated),
        index::problem(stack, &elasticsearch),
    )
    .await;
    Ok(Responses { health: health?, contents, last_hour, fault })
}

impl Responses {
    fn describe(self, health: &mut Health) {
        let Self { health: ClusterHealth { status, number_of_nodes }, contents, .. } = self;
        let (last_hour, fault) = (self.last_hour.ok(), self.fault);
        health.response = Some(match resource::is_healthy(&status, number_of_nodes) {
            true => Observation::Equal(status),
            false => super::model::unhealthy(status),
        });
        let stored = |contents: &Contents| {
            let (count, size) = (units::count(contents.statements), units::bytes(contents.bytes));
            format!("{count} statements, {size}")
        };
        health.data = Some(match (&contents, fault) {
            (Ok(contents), Ok(Some(fault))) => {
                super::model::unhealthy(format!("{}: {fault}", stored(contents)))
            }
            (Err(_), Ok(Some(fault))) => super::model::unhealthy(fault),
            (Ok(contents), Ok(None)) => Observation::Equal(stored(contents)),
            (Err(error), _) => failed(error),
            (Ok(_), Err(error)) => failed(&error),
        });
        if let Ok(contents) = contents {
            let Contents { statements, bytes, .. } = contents;
            let lag = |share| last_hour.as_ref()?.lag(share).map(units::milliseconds);
            health.figures = Some(Figures::DataLake {
                statements,
                bytes,
                stored_last_hour: last_hour.as_ref().map(|last_hour| last_hour.stored),
                lag_median_milliseconds: lag(0.5),
                lag_p95_milliseconds: lag(0.95),
            });
            health.newest = contents.newest_stored;
        }
    }
}

/// Why no statement can be stored although the cluster is healthy.
///
/// # Errors
/// When the index cannot be read.
pub async fn why_nothing_is_stored(stack: &Stack) -> Result<Option<Diagnosis>> {
    index::why_closed(stack, &reader(stack).await?).await
}

/// Counts the statements that a deletion would lose.
///
/// # Errors
/// When Elasticsearch does not respond.
pub async fn origins(stack: &Stack) -> Result<Origins> {
    client(stack).await?.origins(&generated()).await
}

/// The clauses of a query that select the statements of generated learners.
fn generated() -> Value {
    json!([
        {"term": {"actor.account.homePage": simulator::SITE}},
        {"terms": {"actor.mbox": simulator::MAILBOXES}},
    ])
}

/// The API resource of the kind Elasticsearch.
pub fn kind() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, "v1", "Elasticsearch"), KINDS)
}

/// Which objects with the operator's label belong to the data lake of the stack.
pub struct Ownership {
    claims: Owner,
    is_foreign: bool,
}

impl Ownership {
    /// # Errors
    /// When the Elasticsearch resource cannot be read.
    pub async fn find(stack: &Stack) -> Result<Self> {
        let live = resource::live(stack).await?;
        let is_foreign = live.as_ref().is_some_and(|live| !live.is_ours());
        Ok(Self { claims: live.as_ref().map(Live::owner).unwrap_or_default(), is_foreign })
    }

    /// Whether the operator created the object for this data lake. Only its volume claims outlive it.
    pub fn owns(&self, metadata: &ObjectMeta, is_claim: bool) -> bool {
        let is_labelled = object::label(metadata, CLUSTER_LABEL) == Some(RESOURCE);
        is_labelled && if is_claim { self.claims.owns(metadata) } else { !self.is_foreign }
    }
}

/// The version of a node that runs or has run in this Pod. None: its image was never started.
fn started(pod: &Pod) -> Option<String> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let node = statuses.iter().find(|status| status.name == CONTAINER)?;
    let has_run = |state: &Option<ContainerState>| {
        state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    };
    let label = object::label(&pod.metadata, VERSION_LABEL);
    (has_run(&node.state) || has_run(&node.last_state)).then_some(label?.to_string())
}

/// The address inside the cluster. The certificate is valid for its host.
pub fn address(stack: &Stack) -> String {
    format!("https://{SERVICE}.{}.svc:9200", stack.namespace())
}

/// The certificate authority of the HTTP API, in PEM.
async fn authority(stack: &Stack) -> Result<Option<Vec<u8>>> {
    let data = secrets::read(&stack.api(), AUTHORITY_SECRET).await?;
    Ok(data.and_then(|mut data| data.remove("ca.crt").or_else(|| data.remove("tls.crt"))))
}

/// A client over verified TLS, with the account of this tool, which manages the indices of the stack.
///
/// # Errors
/// When a Secret with the authority or the password is absent or cannot be read.
pub async fn client(stack: &Stack) -> Result<Elasticsearch> {
    client_as(stack, "lastack").await
}

/// The same with the account of the dashboards, which only reads.
///
/// # Errors
/// When a Secret with the authority or the password is absent or cannot be read.
pub async fn reader(stack: &Stack) -> Result<Elasticsearch> {
    client_as(stack, "dashboards").await
}

async fn client_as(stack: &Stack, user: &str) -> Result<Elasticsearch> {
    let Some(authority) = authority(stack).await? else {
        return Err(Failure::failed(format!(
            "namespace {} has no data lake (secret {AUTHORITY_SECRET} is missing)",
            stack.namespace()
        ))
        .hint("run `kubectl lastack install` to create it")
        .into());
    };
    let password: SecretString =
        secrets::value(&stack.cluster, &user_secret(user), "password").await?;
    let account = Account { user: user.into(), password };
    let http =
        HttpClient::in_cluster_tls(stack.cluster.streams.clone(), &address(stack), &authority)?
            .with_account(&account);
    Ok(Elasticsearch::new(http.context("the data lake's account cannot be used")?))
}
