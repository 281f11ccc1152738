//! The helm release with Superset and the database of its own metadata.

use anyhow::{Context, Result};
use async_trait::async_trait;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, ListParams};
use serde::Serialize;
use serde_json::Value;

use crate::cluster::helm::Install;
use crate::cluster::object::{self, ObjectRef};
use crate::cluster::pod_problem::PodProblem;
use crate::cluster::secrets::ALL;
use crate::cluster::steps::Step;
use crate::cluster::wait::State;
use crate::cluster::{jobs, rollout};
use crate::components::postgresql::{self, on_top};
use crate::components::{datalake, release};
use crate::engine::{
    DeleteOptions, Deletion, Difference, Id, Observation, Progress, Reconciled, Resource,
};
use crate::error::one_line;
use crate::stack::Stack;

use super::accounts::CACHE;
use super::client::ApiError;
use super::{COMPONENT, DECLARATION, Dataviz, NAME, POSTGRESQL, RELEASE, Size};

/// The values that this program gives to `charts/superset`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Values {
    image: release::Image,
    replicas: u32,
    existing_secret: &'static str,
    config: Config,
    /// Changes with the Secrets that the Pods read, which restarts them.
    secret_checksum: String,
    elasticsearch: ElasticsearchValues,
    postgresql: postgresql::Values,
    cache: Cache,
    worker: Worker,
    beat: Beat,
    resources: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    secure_cookies: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ElasticsearchValues {
    ca_secret: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cache {
    enabled: bool,
    image: release::Image,
    existing_secret: &'static str,
}

#[derive(Serialize)]
struct Worker {
    replicas: u32,
    resources: Value,
}

#[derive(Serialize)]
struct Beat {
    enabled: bool,
}

/// The Deployment that installs the drivers for the other Pods.
const DRIVERS: &str = "dataviz-superset-drivers";
pub const JOBS: &str = "app.kubernetes.io/instance=dataviz,app.kubernetes.io/component=init";

pub struct SupersetRelease;

impl SupersetRelease {
    pub async fn install(stack: &Stack) -> Result<Install> {
        let size: Size = stack.settings.profile().size_of(COMPONENT);
        let has_workers = size.workers > 0;
        let mut given = vec![NAME, POSTGRESQL.secret(stack)];
        if has_workers {
            given.push(CACHE);
        }
        let values = Values {
            image: release::image(stack, COMPONENT, "superset")?,
            replicas: size.web.replicas,
            existing_secret: NAME,
            config: Config { secure_cookies: stack.settings.has_tls() },
            secret_checksum: release::secret_checksum(stack, &given, ALL).await?,
            elasticsearch: ElasticsearchValues { ca_secret: datalake::AUTHORITY_SECRET },
            postgresql: POSTGRESQL.values(stack, &size.postgresql).await?,
            cache: Cache {
                enabled: has_workers,
                image: release::image(stack, COMPONENT, "valkey")?,
                existing_secret: CACHE,
            },
            worker: Worker { replicas: size.workers, resources: size.web.resources() },
            beat: Beat { enabled: has_workers },
            resources: size.web.resources(),
        };
        release::install_component(stack, COMPONENT, RELEASE, &values)
    }
}

/// The state of the rollout. The web server waits for the Job, and the Job for the database; the first problem is shown.
async fn rollout(stack: &Stack) -> Result<State> {
    let job = newest_job(stack).await?;
    if let Some((job, why)) = jobs::failed(&stack.cluster, job.as_ref()).await? {
        let hint = format!(
            "run `kubectl logs job/{job} -n {}` for the cause; the next `kubectl lastack install` retries",
            stack.namespace()
        );
        return Ok(State::fatal(
            format!("job {job}: preparing Superset's database failed: {why}"),
            hint,
        ));
    }
    let reason = match on_top(POSTGRESQL.look(stack).await?, deployments(stack).await?) {
        State::Waiting(reason) => reason,
        // the Job creates the accounts last
        State::Ready(_) if !job.as_ref().is_some_and(jobs::is_complete) => {
            "the job that prepares the database and the accounts is running".into()
        }
        settled => return Ok(settled),
    };
    let Some(job) = job.and_then(|job| job.metadata.name) else {
        return Ok(State::Waiting(reason));
    };
    Ok(match jobs::problem(&stack.cluster, &job).await? {
        Some(PodProblem::Fatal(diagnosis)) => State::Fatal(diagnosis),
        Some(PodProblem::Waiting(why)) => State::Waiting(format!("{reason}: {why}")),
        None => State::Waiting(reason),
    })
}

/// The state of all Deployments: the drivers, for which the others wait, the web server, and worker, scheduler and cache if
/// any.
async fn deployments(stack: &Stack) -> Result<State> {
    if stack.api::<Deployment>().get_metadata_opt(DRIVERS).await?.is_some()
        && let Some(state) = unready(stack, DRIVERS).await?
    {
        return Ok(state);
    }
    match rollout::deployment(&stack.cluster, NAME).await? {
        ready @ State::Ready(_) => Ok(behind_the_web_server(stack).await?.unwrap_or(ready)),
        other => Ok(other),
    }
}

/// The first Deployment besides the web server that is not ready: worker, scheduler, cache or drivers.
pub async fn behind_the_web_server(stack: &Stack) -> Result<Option<State>> {
    let of_release = ListParams::default().labels(&object::of_release(RELEASE));
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
        if let Some(state) = unready(stack, &name).await? {
            return Ok(Some(state));
        }
    }
    Ok(None)
}

/// The state of a Deployment. None: it is ready.
async fn unready(stack: &Stack, name: &str) -> Result<Option<State>> {
    Ok(match rollout::deployment(&stack.cluster, name).await? {
        State::Ready(_) => None,
        State::Waiting(why) => Some(State::Waiting(format!("deployment {name} has {why}"))),
        fatal @ State::Fatal(_) => Some(fatal),
    })
}

/// The newest Job of the release. Older Jobs are being deleted.
async fn newest_job(stack: &Stack) -> Result<Option<Job>> {
    let jobs = stack.api::<Job>().list(&ListParams::default().labels(JOBS)).await?;
    let live = jobs.items.into_iter().filter(|job| job.metadata.deletion_timestamp.is_none());
    Ok(live.max_by_key(|job| job.metadata.creation_timestamp.as_ref().map(|time| time.0)))
}

/// Why the Job that prepares the database must run again, although its definition is unchanged.
async fn reason_to_prepare_again(stack: &Stack) -> Result<Option<String>> {
    if let Some((job, why)) =
        jobs::failed(&stack.cluster, newest_job(stack).await?.as_ref()).await?
    {
        return Ok(Some(format!("job {job} failed: {why}")));
    }
    // another error means that the web server or the database is down, which is a different problem
    Ok(match super::sign_in(stack, super::USER).await {
        Ok(None) => {
            Some(format!("the password of account {} differs from its Secret", super::USER))
        }
        Err(error) if ApiError::is_server_error(&error) => {
            Some(format!("{}: tables may be missing", one_line(&error)))
        }
        _ => None,
    })
}

#[async_trait]
impl Resource<Stack> for SupersetRelease {
    fn id(&self) -> Id {
        Id("dataviz.release")
    }

    fn needs(&self) -> &'static [Id] {
        // the Pods mount the certificate authority of the data lake; they do not need the data lake to start
        &[Id("dataviz.accounts"), Id("datalake.accounts"), Id("datalake.resource"), Id("settings")]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let install = Self::install(stack).await?;
        let found = release::observe(stack, &install).await?;
        if !found.is_equal() {
            return Ok(found);
        }
        if let Some(reason) = reason_to_prepare_again(stack).await? {
            return Ok(Observation::drifted("Superset's database", reason, "prepared"));
        }
        Ok(release::observed(found, NAME, rollout(stack).await?))
    }

    async fn differences(&self, stack: &Stack) -> Result<Option<Vec<Difference>>> {
        release::differences(stack, &Self::install(stack).await?).await
    }

    async fn reconcile(&self, stack: &Stack, progress: &Progress<'_>) -> Result<Reconciled> {
        let install = Self::install(stack).await?;
        // a Job runs once, so it is deleted to run again
        if reason_to_prepare_again(stack).await?.is_some() {
            let (api, selection) = (stack.api::<Job>(), ListParams::default().labels(JOBS));
            api.delete_collection(&DeleteParams::background(), &selection)
                .await
                .context("the jobs of the release")?;
        }
        let look = || async {
            rollout::replace_stuck(&stack.cluster, POSTGRESQL.name).await?;
            rollout(stack).await
        };
        release::upgrade(stack, &Dataviz, &install, NAME, progress, look).await
    }

    async fn plan_deletion(&self, stack: &Stack, _: DeleteOptions) -> Result<Deletion<ObjectRef>> {
        release::plan_deletion(stack, &DECLARATION, stack.namespace()).await
    }

    async fn delete(
        &self,
        stack: &Stack,
        options: DeleteOptions,
        progress: &Progress<'_>,
    ) -> Result<()> {
        release::delete(stack, &DECLARATION, options, progress).await
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        let namespace = stack.namespace();
        let mut waits = POSTGRESQL.waits(stack);
        waits.push(format!(
            "kubectl wait job -n {namespace} -l {JOBS} --for=condition=Complete --timeout=15m"
        ));
        waits
            .push(format!("kubectl rollout status deployment/{NAME} -n {namespace} --timeout=15m"));
        Ok(vec![release::step(Self::install(stack).await?, waits)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::profiles::Profile;

    #[test]
    fn chart_values_fit_the_schema_of_the_chart() {
        let size: Size = Profile::Production.size_of(COMPONENT);
        let values = Values {
            image: release::Image::example(),
            replicas: size.web.replicas,
            existing_secret: NAME,
            config: Config { secure_cookies: true },
            secret_checksum: "0a1b".into(),
            elasticsearch: ElasticsearchValues { ca_secret: datalake::AUTHORITY_SECRET },
            postgresql: POSTGRESQL.example(&size.postgresql),
            cache: Cache {
                enabled: true,
                image: release::Image::example(),
                existing_secret: CACHE,
            },
            worker: Worker { replicas: size.workers, resources: size.web.resources() },
            beat: Beat { enabled: true },
            resources: size.web.resources(),
        };
        release::assert_fits_schema("superset", &values);
    }
}
