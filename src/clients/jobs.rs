//! What Jobs say about themselves: done, given up, or kept from running.

use anyhow::Result;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use crate::stack::Stack;

use super::pods::{self, Trouble};

fn is(job: &Job, condition: &str) -> bool {
    job.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|c| c.type_ == condition && c.status == "True")
}

pub fn is_complete(job: &Job) -> bool {
    is(job, "Complete")
}

/// The name of a Job that gave up, with the last thing it said.
pub async fn failed(stack: &Stack, job: Option<&Job>) -> Result<Option<(String, String)>> {
    let Some(name) = job.filter(|job| is(job, "Failed")).and_then(|job| job.metadata.name.clone())
    else {
        return Ok(None);
    };
    let pods = pods_of(stack, &name).await?;
    let words = pods::last_words_of(stack, &pods).await;
    Ok(Some((name, words.unwrap_or_else(|| "it left no log".into()))))
}

/// What keeps a Job from getting on.
pub async fn trouble(stack: &Stack, job: &str) -> Result<Option<Trouble>> {
    let pods: Vec<Pod> =
        pods_of(stack, job).await?.into_iter().filter(|pod| !pods::is_done(pod)).collect();
    Ok(match pods.is_empty() {
        true => pods::cannot_be_made(stack, "Job", job).await,
        false => pods::trouble(stack, &pods).await,
    })
}

async fn pods_of(stack: &Stack, job: &str) -> kube::Result<Vec<Pod>> {
    pods::list(stack, &format!("batch.kubernetes.io/job-name={job}")).await
}
