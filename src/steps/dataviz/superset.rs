//! The helm release with Superset and the database of its own metadata.

use anyhow::{Context, Result};
use async_trait::async_trait;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use crate::clients::helm::Install;
use crate::clients::jobs;
use crate::clients::pods::Trouble;
use crate::clients::secrets;
use crate::clients::superset::Refusal;
use crate::clients::wait::State;
use crate::error::one_line;
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::step::{Converged, Observed, Retracted, Retraction, Step, StepId};
use crate::stack::versions::Component;
use crate::steps::postgresql::on_top;
use crate::steps::{datalake, release};

use super::accounts::CACHE;
use super::{NAME, POSTGRESQL, RELEASE};

const JOBS: &str = "app.kubernetes.io/instance=dataviz,app.kubernetes.io/component=init";

pub struct SupersetRelease;

impl SupersetRelease {
    pub async fn install(stack: &Stack) -> Result<Install> {
        let size = &stack.settings.profile().sizes().dataviz;
        let image = |role| release::image(stack, Component::Dataviz, role);
        let mut given = vec![NAME, POSTGRESQL.secret(stack)];
        if size.workers > 0 {
            given.push(CACHE);
        }
        let values = json!({
            "image": image("superset")?,
            "replicas": size.web.replicas,
            "existingSecret": NAME,
            "secretChecksum": secrets::checksum(stack, &given).await?,
            "elasticsearch": {"caSecret": datalake::AUTHORITY_SECRET},
            "postgresql": {
                "image": image("postgresql")?,
                "existingSecret": POSTGRESQL.name,
                "storage": POSTGRESQL.storage(stack, &size.postgresql.storage).await?,
                "resources": size.postgresql.resources(),
            },
            "cache": {"enabled": size.workers > 0, "image": image("valkey")?, "existingSecret": CACHE},
            "worker": {"replicas": size.workers, "resources": size.web.resources()},
            "beat": {"enabled": size.workers > 0},
            "resources": size.web.resources(),
        });
        release::install_part(stack, Component::Dataviz, RELEASE, values)
    }
}

/// The web server's pods wait for the Job, and the Job for the database: what keeps them is said by whichever it is.
async fn rollout(stack: &Stack) -> Result<State> {
    let job = newest_job(stack).await?;
    if let Some((job, why)) = jobs::failed(stack, job.as_ref()).await? {
        let hint = format!(
            "kubectl logs job/{job} -n {}; the next `kubectl lastack install` tries again",
            stack.namespace()
        );
        return Ok(State::Fatal {
            why: format!("job {job}, which prepares Superset's database, failed: {why}"),
            hint,
        });
    }
    let reason = match on_top(POSTGRESQL.look(stack).await?, deployments(stack).await?) {
        State::Waiting(reason) => reason,
        // the accounts are the last that the Job makes
        State::Ready(_) if !job.as_ref().is_some_and(jobs::is_complete) => {
            "the job that prepares database and accounts runs".into()
        }
        settled => return Ok(settled),
    };
    let Some(job) = job.and_then(|job| job.metadata.name) else {
        return Ok(State::Waiting(reason));
    };
    Ok(match jobs::trouble(stack, &job).await? {
        Some(Trouble::Fatal { why, hint }) => State::Fatal { why, hint },
        _ => State::Waiting(reason),
    })
}

/// Those of the web server, and of worker, scheduler and cache where there are any.
async fn deployments(stack: &Stack) -> Result<State> {
    match release::rollout(stack, NAME).await? {
        ready @ State::Ready(_) => Ok(behind_the_web_server(stack).await?.unwrap_or(ready)),
        other => Ok(other),
    }
}

/// The first of worker, scheduler and cache that is not ready.
pub async fn behind_the_web_server(stack: &Stack) -> Result<Option<State>> {
    let of_release = ListParams::default().labels(&release::objects_of(RELEASE));
    let all = stack
        .api::<Deployment>()
        .list_metadata(&of_release)
        .await
        .context("the deployments of the release")?;
    for name in all
        .items
        .into_iter()
        .filter_map(|deployment| deployment.metadata.name)
        .filter(|name| name != NAME)
    {
        match release::rollout(stack, &name).await? {
            State::Ready(_) => {}
            State::Waiting(why) => {
                return Ok(Some(State::Waiting(format!("deployment {name} has {why}"))));
            }
            fatal @ State::Fatal { .. } => return Ok(Some(fatal)),
        }
    }
    Ok(None)
}

/// The Job of the release that was installed last; those before it are on their way out.
async fn newest_job(stack: &Stack) -> Result<Option<Job>> {
    let jobs = stack.api::<Job>().list(&ListParams::default().labels(JOBS)).await?;
    let there = jobs.items.into_iter().filter(|job| job.metadata.deletion_timestamp.is_none());
    Ok(there.max_by_key(|job| job.metadata.creation_timestamp.as_ref().map(|time| time.0)))
}

/// Why the Job that prepares the database has to run again, though nothing it is made of changed.
async fn reason_to_prepare_again(stack: &Stack) -> Result<Option<String>> {
    if let Some((job, why)) = jobs::failed(stack, newest_job(stack).await?.as_ref()).await? {
        return Ok(Some(format!("job {job} failed: {why}")));
    }
    // not to be asked while web server or database are away, which is another trouble
    Ok(match super::sign_in(stack, super::USER).await {
        Ok(None) => Some(format!("account {} has another password than its Secret", super::USER)),
        Err(error) if Refusal::is_its_own_fault(&error) => {
            Some(format!("{}: tables may be missing", one_line(&error)))
        }
        _ => None,
    })
}

#[async_trait]
impl Step for SupersetRelease {
    fn id(&self) -> StepId {
        "dataviz.release"
    }

    fn needs(&self) -> &'static [StepId] {
        // the pods mount the certificate authority that the data lake's operator makes; nothing more is needed of it to start
        &["dataviz.accounts", "datalake.accounts", "datalake.resource", "settings"]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let install = Self::install(stack).await?;
        let found = release::observe(stack, &install).await?;
        if !matches!(found, Observed::Ok(_)) {
            return Ok(found);
        }
        if let Some(reason) = reason_to_prepare_again(stack).await? {
            return Ok(Observed::drifted("Superset's database", reason, "prepared"));
        }
        Ok(release::observed(found, NAME, rollout(stack).await?))
    }

    async fn converge(&self, stack: &Stack, progress: &Progress) -> Result<Converged> {
        let install = Self::install(stack).await?;
        // a Job runs once: to run again it has to be made again
        if reason_to_prepare_again(stack).await?.is_some() {
            let (api, selection) = (stack.api::<Job>(), ListParams::default().labels(JOBS));
            api.delete_collection(&DeleteParams::background(), &selection)
                .await
                .context("the jobs of the release")?;
        }
        let look = || async {
            release::replace_stuck(stack, POSTGRESQL.name).await?;
            rollout(stack).await
        };
        release::upgrade(stack, &install, NAME, progress, look).await
    }

    async fn retractable(&self, stack: &Stack, _: Retraction) -> Result<Retracted> {
        release::retractable_part(stack, RELEASE).await
    }

    async fn retract(&self, stack: &Stack, how: Retraction, progress: &Progress) -> Result<()> {
        release::retract(stack, RELEASE, how, progress).await
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        let namespace = stack.namespace();
        vec![
            format!(
                "helm upgrade --install {RELEASE} charts/superset -n {namespace} -f values.yaml"
            ),
            format!("kubectl rollout status deployment/{NAME} -n {namespace}"),
        ]
    }
}
