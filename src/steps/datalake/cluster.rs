//! The Elasticsearch cluster: all its nodes are there, it is well, and its clients can trust it.

use anyhow::Result;
use async_trait::async_trait;

use crate::clients::pods::{self, Trouble};
use crate::clients::wait::{self, State};
use crate::clients::{elasticsearch, http};
use crate::error;
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::step::{Converged, Observed, Step, StepId};

use super::resource::{Live, counted, live, nodes};
use super::{NAME, PODS};

/// Pods that run and an index that has no place: only Elasticsearch itself knows why, such as a disk that is full.
async fn why_red(stack: &Stack, live: &Live) -> String {
    if live.health() != "red" {
        return String::new();
    }
    let asked = async { super::client(stack).await?.why_unassigned().await };
    asked.await.ok().flatten().map(|why| format!(": {why}")).unwrap_or_default()
}

/// The operator tells of the nodes what it saw last. After a restart they are not there yet, and a new authority is in its Secret up to
/// minutes before a node has read its own certificate again. None when Elasticsearch answers, or this user may not ask it.
async fn why_silent(stack: &Stack) -> Option<String> {
    let asked = async { super::client(stack).await?.health().await };
    match asked.await {
        Err(error) if http::is_untrusted(&error) => {
            Some("Elasticsearch has no certificate of the new authority yet".into())
        }
        Err(error) if error::forbidden(&error).is_none() && !elasticsearch::is_refusal(&error) => {
            Some(error::one_line(&error))
        }
        _ => None,
    }
}

pub struct Cluster;

#[async_trait]
impl Step for Cluster {
    fn id(&self) -> StepId {
        "datalake.cluster"
    }

    fn needs(&self) -> &'static [StepId] {
        &["datalake.resource"]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let Some(live) = live(stack).await? else {
            return Ok(Observed::Missing(counted(nodes(stack))));
        };
        let nodes = nodes(stack);
        Ok(if !live.is_ready(nodes) {
            Observed::drifted("the data lake", live.describe(nodes), "ready")
        } else if let Some(why) = why_silent(stack).await {
            Observed::drifted("the data lake", why, "answering its clients")
        } else {
            Observed::Ok(format!("Elasticsearch {}, {}", live.version(), live.health()))
        })
    }

    async fn converge(&self, stack: &Stack, progress: &Progress) -> Result<Converged> {
        let wanted = nodes(stack);
        wait::until(stack, &format!("elasticsearch {NAME}"), progress, || async {
            let Some(live) = live(stack).await? else {
                return Ok(State::Waiting("the resource is gone".into()));
            };
            if live.is_ready(wanted) {
                if let Some(why) = why_silent(stack).await {
                    return Ok(State::Waiting(why));
                }
                return Ok(State::Ready(format!(
                    "Elasticsearch {}, {}, {}",
                    live.version(),
                    counted(wanted),
                    live.health()
                )));
            }
            if let Some(fatal) = live.refused() {
                return Ok(fatal);
            }
            let pods = pods::list(stack, PODS).await?;
            if pods.is_empty()
                && let Some(trouble) =
                    pods::cannot_be_made(stack, "StatefulSet", &format!("{NAME}-es-default")).await
            {
                return Ok(trouble.into());
            }
            Ok(match pods::trouble(stack, &pods).await {
                Some(Trouble::Fatal { why, hint }) => State::Fatal { why, hint },
                Some(Trouble::Waiting(reason)) => {
                    State::Waiting(format!("{}: {reason}", live.describe(wanted)))
                }
                None => State::Waiting(live.describe(wanted) + &why_red(stack, &live).await),
            })
        })
        .await
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        let namespace = stack.namespace();
        vec![format!(
            "kubectl wait -n {namespace} elasticsearch/{NAME} --for=jsonpath='{{.status.phase}}'=Ready --timeout=10m"
        )]
    }
}
