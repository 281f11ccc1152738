//! Elasticsearch, run by the ECK operator: its accounts, the cluster, the index of statements.

mod accounts;
mod cluster;
mod index;
mod resource;

use anyhow::{Context, Result};
use async_trait::async_trait;
use futures::future::{join, join3};
use kube::core::{ApiResource, GroupVersionKind};
use secrecy::SecretString;

use crate::clients::elasticsearch::{Contents, Elasticsearch, Health};
use crate::clients::helm::Install;
use crate::clients::http::{Account, HttpClient};
use crate::clients::{pods, secrets};
use crate::error::Failure;
use crate::output::age;
use crate::stack::Stack;
use crate::stack::step::{Blocked, Step};
use crate::stack::versions::Component;

use super::{Credential, Fact, Part, PartStatus};

/// The name of the ECK resource, which its Services, Secrets and pods begin with.
pub const NAME: &str = "data-lake";
/// Where ECK puts the certificate authority of the cluster's HTTPS.
pub const AUTHORITY_SECRET: &str = "data-lake-es-http-certs-public";
const ELASTIC_SECRET: &str = "data-lake-es-elastic-user";
const PODS: &str = "elasticsearch.k8s.elastic.co/cluster-name=data-lake";

pub use accounts::user_secret;
pub use index::{by_hand, difference};
pub use resource::{body, nodes, own_image};

pub struct Datalake;

#[async_trait]
impl Part for Datalake {
    fn name(&self) -> &'static str {
        "datalake"
    }

    fn component(&self) -> Component {
        Component::Datalake
    }

    fn steps(&self) -> Vec<Box<dyn Step>> {
        vec![
            Box::new(accounts::Accounts),
            Box::new(resource::Resource),
            Box::new(cluster::Cluster),
            Box::new(index::Index),
        ]
    }

    async fn status(&self, stack: &Stack) -> PartStatus {
        let (resource, (pods, asked)) =
            join(resource::live(stack), join(pods::list(stack, PODS), ask(stack))).await;
        let mut status = PartStatus::default();
        match &resource {
            Ok(Some(live)) => {
                let text = format!("{}, {}", live.version(), live.phase());
                status.runs = if live.phase() == "Ready" {
                    Fact::Good(live.version().to_string())
                } else {
                    Fact::Bad(text)
                };
            }
            Ok(None) => {
                status.runs = Fact::Bad("not installed".into());
                return status;
            }
            Err(error) => status.runs = Fact::from_error(error),
        }
        // what the operator was told; who may not see that sees the settings
        let wanted = resource
            .as_ref()
            .ok()
            .and_then(|live| live.as_ref()?.nodes())
            .unwrap_or_else(|| nodes(stack));
        status.pods = match pods {
            Ok(pods) => Fact::of_pods(stack, &pods, wanted as usize).await,
            Err(error) => Fact::from_error(&error.into()),
        };
        match asked {
            Ok((health, contents, fault)) => {
                status.answers = if resource::is_well(&health.status, health.number_of_nodes) {
                    Fact::Good(health.status)
                } else {
                    Fact::Bad(health.status)
                };
                let stored = |contents: &Contents| {
                    format!(
                        "{} statements, {}",
                        age::count(contents.statements),
                        age::bytes(contents.bytes)
                    )
                };
                status.data = match (&contents, fault) {
                    (Ok(contents), Ok(Some(fault))) => {
                        Fact::Bad(format!("{}: {fault}", stored(contents)))
                    }
                    (Err(_), Ok(Some(fault))) => Fact::Bad(fault),
                    (Ok(contents), Ok(None)) => Fact::Good(stored(contents)),
                    (Err(error), _) => Fact::from_error(error),
                    (Ok(_), Err(error)) => Fact::from_error(&error),
                };
                if let Ok(contents) = contents {
                    status.figures.insert("statements".into(), contents.statements.into());
                    status.figures.insert("bytes".into(), contents.bytes.into());
                    status.newest = contents.newest_stored;
                }
            }
            Err(error) => status.answers = Fact::from_error(&error),
        }
        status.inside = Some(address(stack));
        status
    }

    async fn credentials(&self, stack: &Stack) -> Result<Vec<Credential>> {
        let Some(password) = secrets::optional(stack, ELASTIC_SECRET, "elastic").await? else {
            return Ok(Vec::new());
        };
        Ok(vec![Credential {
            user: "elastic".into(),
            password,
            purpose: "everything",
            secret: format!("{ELASTIC_SECRET}/elastic"),
            url: address(stack),
        }])
    }

    fn volumes(&self, stack: &Stack) -> Option<(String, usize)> {
        Some((PODS.into(), nodes(stack) as usize))
    }

    async fn release(&self, _: &Stack) -> Result<Option<Install>> {
        Ok(None)
    }
}

async fn ask(stack: &Stack) -> Result<(Health, Result<Contents>, Result<Option<String>>)> {
    let elasticsearch = client(stack).await?;
    let (health, contents, fault) = join3(
        elasticsearch.health(),
        elasticsearch.contents(),
        index::fault(stack, &elasticsearch),
    )
    .await;
    Ok((health?, contents, fault))
}

/// Why no statement can be stored although the cluster is well.
pub async fn why_nothing_is_stored(stack: &Stack) -> Result<Option<Blocked>> {
    index::why_closed(stack, &client(stack).await?).await
}

/// What the API server calls the kind Elasticsearch.
pub fn kind() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("elasticsearch.k8s.elastic.co", "v1", "Elasticsearch"),
        "elasticsearches",
    )
}

/// The name under which its certificate is valid; the address inside the cluster.
pub fn address(stack: &Stack) -> String {
    format!("https://data-lake-es-http.{}.svc:9200", stack.namespace())
}

/// The certificate authority that the operator made, or was given, for the cluster's HTTPS.
async fn authority(stack: &Stack) -> Result<Option<Vec<u8>>> {
    let data = secrets::read(&stack.api(), AUTHORITY_SECRET).await?;
    Ok(data.and_then(|mut data| data.remove("ca.crt").or_else(|| data.remove("tls.crt"))))
}

/// A client over verified TLS, as the tool's own account.
pub async fn client(stack: &Stack) -> Result<Elasticsearch> {
    let secret = user_secret("lastack");
    let Some(authority) = authority(stack).await? else {
        return Err(Failure::failed(format!(
            "there is no data lake in namespace {} (secret {AUTHORITY_SECRET} is missing)",
            stack.namespace()
        ))
        .hint("`kubectl lastack install` makes it")
        .into());
    };
    let password: SecretString = secrets::value(stack, &secret, "password").await?;
    let account = Account { user: "lastack".into(), password };
    let http =
        HttpClient::in_cluster_tls(stack.target.streams.clone(), &address(stack), &authority)?
            .with_account(&account);
    Ok(Elasticsearch::new(http.context("the data lake's account cannot be used")?))
}
