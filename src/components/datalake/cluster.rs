//! The check that the Elasticsearch cluster has all nodes, is healthy, and has a certificate that its clients trust.

use anyhow::Result;
use async_trait::async_trait;

use crate::cluster::pod_problem::{self, PodProblem};
use crate::cluster::steps::Step;
use crate::cluster::{http, pods};
use crate::engine::{Check, Id, Observation};
use crate::error;
use crate::stack::Stack;

use super::client::{is_rejection, is_unauthorized};
use super::resource::{Live, counted, live, nodes};
use super::{PODS, RESOURCE, STATEFUL_SET, client};

/// Why the health is red although the Pods run, such as a full disk. Only Elasticsearch reports this.
async fn why_red(stack: &Stack, live: &Live) -> String {
    if live.health() != "red" {
        return String::new();
    }
    let reason = async { client(stack).await?.why_unassigned().await };
    reason.await.ok().flatten().map(|why| format!(": {why}")).unwrap_or_default()
}

/// Why Elasticsearch does not respond although the operator reports it as ready. The report of the operator is out of date
/// after a restart. A node reads a new certificate minutes after its authority is in the Secret, and the operator applies a
/// new password within a minute. None when
/// Elasticsearch responds, or when the user may not connect to it.
async fn why_silent(stack: &Stack) -> Option<String> {
    let health = async { client(stack).await?.health().await };
    match health.await {
        Err(error) if http::is_untrusted(&error) => {
            Some("Elasticsearch has no certificate of the new authority yet".into())
        }
        Err(error) if is_unauthorized(&error) => {
            Some("the operator has not applied the password of account lastack yet".into())
        }
        Err(error) if error::forbidden(&error).is_none() && !is_rejection(&error) => {
            Some(error::one_line(&error))
        }
        _ => None,
    }
}

pub struct Cluster;

#[async_trait]
impl Check<Stack> for Cluster {
    fn id(&self) -> Id {
        Id("datalake.cluster")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("datalake.resource")]
    }

    fn subject(&self) -> &'static str {
        "elasticsearch data-lake"
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let wanted = nodes(stack);
        let Some(live) = live(stack).await? else {
            return Ok(Observation::Unready(format!("{} not created yet", counted(wanted))));
        };
        if live.is_ready(wanted) {
            return Ok(match why_silent(stack).await {
                Some(why) => Observation::Unready(why),
                None => Observation::Equal(format!(
                    "Elasticsearch {}, {}, {}",
                    live.version(),
                    counted(wanted),
                    live.health()
                )),
            });
        }
        if let Some(rejected) = live.rejected() {
            return Ok(Observation::Blocked(rejected));
        }
        let pods = pods::list(&stack.cluster, PODS).await?;
        let problem = match pods.is_empty() {
            true => {
                pod_problem::creation_problem(&stack.cluster, "StatefulSet", STATEFUL_SET).await
            }
            false => pod_problem::of(&stack.cluster, &pods).await,
        };
        let state = live.describe(wanted);
        Ok(match problem {
            Some(PodProblem::Fatal(diagnosis)) => Observation::Blocked(diagnosis),
            Some(PodProblem::Waiting(reason)) => Observation::Unready(format!("{state}: {reason}")),
            None => Observation::Unready(state + &why_red(stack, &live).await),
        })
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        let namespace = stack.namespace();
        Ok(vec![
            Step::command(format!(
                "kubectl wait elasticsearch/{RESOURCE} -n {namespace} --for=jsonpath='{{.status.phase}}'=Ready --timeout=15m"
            )),
            Step::command(format!(
                "kubectl wait pod -n {namespace} -l {PODS} --for=condition=Ready --timeout=15m"
            )),
        ])
    }
}
