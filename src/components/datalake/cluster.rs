//! The Elasticsearch cluster: all its nodes are there, it is well, and its clients can trust it.

use anyhow::Result;
use async_trait::async_trait;

use crate::cluster::pod_problem::{self, PodProblem};
use crate::cluster::{http, pods};
use crate::engine::{Check, Id, Observation};
use crate::error;
use crate::stack::Stack;

use super::client::is_rejection;
use super::resource::{Live, counted, live, nodes};
use super::{PODS, RESOURCE, STATEFUL_SET, client};

/// Pods that run and an index that has no place: only Elasticsearch itself knows why, such as a disk that is full.
async fn why_red(stack: &Stack, live: &Live) -> String {
    if live.health() != "red" {
        return String::new();
    }
    let asked = async { client(stack).await?.why_unassigned().await };
    asked.await.ok().flatten().map(|why| format!(": {why}")).unwrap_or_default()
}

/// The operator tells of the nodes what it saw last. After a restart they are not there yet, and a new authority is in its Secret up to
/// minutes before a node has read its own certificate again. None when Elasticsearch answers, or this user may not ask it.
async fn why_silent(stack: &Stack) -> Option<String> {
    let asked = async { client(stack).await?.health().await };
    match asked.await {
        Err(error) if http::is_untrusted(&error) => {
            Some("Elasticsearch has no certificate of the new authority yet".into())
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
            return Ok(Observation::Unready(format!("{} to come", counted(wanted))));
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
            true => pod_problem::cannot_be_made(&stack.cluster, "StatefulSet", STATEFUL_SET).await,
            false => pod_problem::of(&stack.cluster, &pods).await,
        };
        let state = live.describe(wanted);
        Ok(match problem {
            Some(PodProblem::Fatal(diagnosis)) => Observation::Blocked(diagnosis),
            Some(PodProblem::Waiting(reason)) => Observation::Unready(format!("{state}: {reason}")),
            None => Observation::Unready(state + &why_red(stack, &live).await),
        })
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        let namespace = stack.namespace();
        vec![format!(
            "kubectl wait -n {namespace} elasticsearch/{RESOURCE} --for=jsonpath='{{.status.phase}}'=Ready --timeout=10m"
        )]
    }
}
