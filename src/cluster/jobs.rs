//! The state of Jobs: complete, failed, or not running.

use anyhow::{Context, Result};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::Cluster;
use super::pod_problem::{self, PodProblem};
use super::pods;
use super::wait::{State, Wait, Waited};

fn is(job: &Job, condition: &str) -> bool {
    job.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|c| c.type_ == condition && c.status == "True")
}

pub fn is_complete(job: &Job) -> bool {
    is(job, "Complete")
}

/// The name of a failed Job and its last log line. None when the Job has not failed.
///
/// # Errors
/// When its Pods cannot be listed.
pub async fn failed(cluster: &Cluster, job: Option<&Job>) -> Result<Option<(String, String)>> {
    let Some(name) = job.filter(|job| is(job, "Failed")).and_then(|job| job.metadata.name.clone())
    else {
        return Ok(None);
    };
    let pods = pods_of(cluster, &name).await?;
    let line = pods::log_cause_of(cluster, &pods).await;
    Ok(Some((name, line.unwrap_or_else(|| "it has no log".into()))))
}

/// The problem of a Job that does not progress.
///
/// # Errors
/// When its Pods cannot be listed.
pub async fn problem(cluster: &Cluster, job: &str) -> Result<Option<PodProblem>> {
    let pods: Vec<Pod> =
        pods_of(cluster, job).await?.into_iter().filter(|pod| !pods::is_done(pod)).collect();
    Ok(match pods.is_empty() {
        true => pod_problem::creation_problem(cluster, "Job", job).await,
        false => pod_problem::of(cluster, &pods).await,
    })
}

/// Waits for a Pod of a new Job, and returns its name.
///
/// # Errors
/// When no Pod can be as required, and at the deadline.
pub async fn wait_for_pod(
    cluster: &Cluster,
    job: &Job,
    wait: Wait<'_>,
    is_as_required: impl Fn(&Pod) -> bool,
) -> Result<String> {
    let name = job.metadata.name.as_deref().context("a Job without a name")?;
    let uid = job.metadata.uid.as_deref().context("a Job without an identity")?;
    // by its identity: Pods of a deleted Job with the same name can still exist
    let selector = format!("batch.kubernetes.io/controller-uid={uid}");
    let look = || async {
        let pods = pods::list(cluster, &selector).await?;
        if let Some(pod) = pods.iter().find(|pod| is_as_required(pod)) {
            return Ok(State::Ready(pod.metadata.name.clone().unwrap_or_default()));
        }
        let problem = match pods.is_empty() {
            true => pod_problem::creation_problem(cluster, "Job", name).await,
            false => pod_problem::of(cluster, &pods).await,
        };
        Ok(problem.unwrap_or_else(|| PodProblem::Waiting("it is starting".into())).into())
    };
    match wait.until(look).await? {
        Waited::Ready(pod) => Ok(pod),
        Waited::NotWaited(reason) => Err(anyhow::anyhow!(reason)),
    }
}

async fn pods_of(cluster: &Cluster, job: &str) -> kube::Result<Vec<Pod>> {
    pods::list(cluster, &format!("batch.kubernetes.io/job-name={job}")).await
}
