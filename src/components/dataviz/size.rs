//! The measurement of the data lake's size, for the charts: a CronJob stores it in an index, because SQL cannot query it.

use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource as _;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::cluster::access::{Rule, Rules};
use crate::cluster::apply::{Comparison, Desired};
use crate::cluster::object::{self, ObjectRef};
use crate::cluster::steps::Step;
use crate::cluster::wait::State;
use crate::cluster::{jobs, pods};
use crate::components::datalake::client::{Elasticsearch, is_rejection};
use crate::components::datalake::{self, SIZES, compared, index_by_hand};
use crate::components::remains::kind;
use crate::engine::{
    DeleteOptions, Deletion, Difference, Id, Observation, Progress, Reconciled, Resource,
};
use crate::error::{self, Diagnosis};
use crate::output::units::age;
use crate::stack::Stack;

const MANIFEST: &str = include_str!("../../../manifests/data-lake-size.yaml");
const DEFINITION: &str = include_str!("../../../manifests/data-lake-size.json");
/// The CronJob. Its index has the same name.
const NAME: &str = SIZES;
const PURPOSE: &str = "the measurement of the data lake's size";

/// The permission to read the CronJob.
pub const READ: Rules = &[Rule::new("batch", "cronjobs", &["get"], PURPOSE).named(&[NAME])];
/// The permissions to create the CronJob and to reconcile it.
pub const MANAGE: Rules = &[
    Rule::new("batch", "cronjobs", &["create"], PURPOSE),
    Rule::new("batch", "cronjobs", &["get", "patch"], PURPOSE).named(&[NAME]),
];

const PODS: &str = "app.kubernetes.io/instance=data-lake-size";
/// The age of the last measurement at which three runs have failed.
const STALE_AFTER: Duration = Duration::from_secs(35 * 60);

fn definition() -> Result<Value> {
    serde_json::from_str(DEFINITION).context("manifests/data-lake-size.json")
}

/// The desired CronJob. It runs the image of the data lake, from the same registry.
fn body(stack: &Stack) -> Result<Value> {
    let mut body: Value =
        serde_saphyr::from_str(MANIFEST).context("manifests/data-lake-size.yaml")?;
    let labels = stack.labels("data-lake-size", NAME);
    let data_lake = datalake::body(stack, None)?;
    let image = data_lake["spec"]["image"]
        .as_str()
        .map_or_else(|| datalake::own_image(stack), str::to_string);
    body["metadata"]["labels"] = labels.clone();
    let job = &mut body["spec"]["jobTemplate"];
    job["metadata"]["labels"] = labels.clone();
    let template = &mut job["spec"]["template"];
    template["metadata"]["labels"] = labels;
    for key in ["imagePullSecrets", "nodeSelector", "tolerations", "priorityClassName"] {
        let value = &data_lake["spec"]["nodeSets"][0]["podTemplate"]["spec"][key];
        if !value.is_null() {
            template["spec"][key] = value.clone();
        }
    }
    let container = &mut template["spec"]["containers"][0];
    container["image"] = json!(image);
    container["env"] = json!([{"name": "TZ", "value": "UTC"}, {"name": "DATA_LAKE", "value": datalake::address(stack)}]);
    Ok(body)
}

fn desired(stack: &Stack) -> Result<Desired> {
    let (client, namespace) = (&stack.cluster.client, stack.namespace());
    Desired::known(client, namespace, &kind::<CronJob>(), body(stack)?)
}

async fn live(stack: &Stack) -> Result<Option<CronJob>> {
    stack.api::<CronJob>().get_opt(NAME).await.with_context(|| format!("cronjob {NAME}"))
}

/// The time of the last measurement.
fn measured(cron: &CronJob) -> Option<Timestamp> {
    time(cron.status.as_ref()?.last_successful_time.as_ref())
}

fn time(time: Option<&Time>) -> Option<Timestamp> {
    Some(time?.0)
}

/// For how long its runs have failed. None for a suspended CronJob, which has no runs.
fn fails_for(cron: &CronJob) -> Option<Duration> {
    let newest = time(cron.status.as_ref()?.last_schedule_time.as_ref())?;
    let good = measured(cron).or(time(cron.metadata.creation_timestamp.as_ref()))?;
    let since = newest.duration_since(good);
    (!since.is_negative() && since.unsigned_abs() > STALE_AFTER).then_some(since.unsigned_abs())
}

/// Why the last measurement is not current. None when it is, or when the user may not read the CronJob.
pub async fn measurement_problem(stack: &Stack) -> Result<Option<Diagnosis>> {
    let cron = match live(stack).await {
        Err(error) if error::forbidden(&error).is_some() => return Ok(None),
        found => found?,
    };
    let repair = "run `kubectl lastack install` to repair it".to_string();
    let Some(cron) = cron else {
        return Ok(Some(Diagnosis::new(
            format!("cronjob {NAME}: missing, so the size of the data lake is not measured"),
            repair,
        )));
    };
    let Some(since) = fails_for(&cron) else { return Ok(None) };
    let cause = pods::log_cause_of(&stack.cluster, &pods::list(&stack.cluster, PODS).await?)
        .await
        .map(|line| format!(": {line}"))
        .unwrap_or_default();
    Ok(Some(Diagnosis::new(
        format!("the size of the data lake was not measured for {}{cause}", age(since)),
        repair,
    )))
}

/// Creates the index, or adds missing fields.
async fn apply_index(elasticsearch: &Elasticsearch) -> Result<String> {
    let wanted = definition()?;
    match elasticsearch.index(SIZES).await? {
        None => elasticsearch.create_index(SIZES, &wanted).await?,
        Some(live) if !compared(SIZES, &live, &wanted).is_equal() => {
            elasticsearch.put_mapping(SIZES, &wanted["mappings"]).await?
        }
        Some(_) => {}
    }
    Ok(format!("index {SIZES}"))
}

/// Starts a run now, as `kubectl create job --from` does.
async fn run(stack: &Stack) -> Result<Job> {
    let cron = live(stack).await?.with_context(|| format!("cronjob {NAME} is gone"))?;
    let owner = cron.controller_owner_ref(&());
    let template = cron.spec.map(|spec| spec.job_template).unwrap_or_default();
    let metadata = ObjectMeta {
        generate_name: Some(format!("{NAME}-")),
        labels: template.metadata.and_then(|metadata| metadata.labels),
        annotations: Some(
            [("cronjob.kubernetes.io/instantiate".to_string(), "manual".to_string())].into(),
        ),
        owner_references: owner.map(|owner| vec![owner]),
        ..ObjectMeta::default()
    };
    let job = Job { metadata, spec: template.spec, status: None };
    stack
        .api::<Job>()
        .create(&PostParams::default(), &job)
        .await
        .with_context(|| format!("a job of cronjob {NAME}"))
}

/// The state of a run.
async fn look(stack: &Stack, job: &Job) -> Result<State> {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let found = stack.api::<Job>().get_opt(name).await.with_context(|| format!("job {name}"))?;
    if let Some((job, why)) = jobs::failed(&stack.cluster, found.as_ref()).await? {
        let hint = format!(
            "run `kubectl logs job/{job} -n {}` for the cause; the next `kubectl lastack install` retries",
            stack.namespace()
        );
        return Ok(State::fatal(format!("job {job}: measuring the data lake failed: {why}"), hint));
    }
    // later observations read the CronJob, whose status follows the Job with a delay
    if live(stack)
        .await?
        .is_some_and(|cron| measured(&cron) >= time(job.metadata.creation_timestamp.as_ref()))
    {
        return Ok(State::Ready(format!("cronjob {NAME}, index {SIZES}")));
    }
    let problem = if found.as_ref().is_some_and(jobs::is_complete) {
        None
    } else {
        jobs::problem(&stack.cluster, name).await?
    };
    Ok(problem.map_or_else(|| State::Waiting(format!("job {name} is running")), State::from))
}

pub struct SizeMeasurement;

#[async_trait]
impl Resource<Stack> for SizeMeasurement {
    fn id(&self) -> Id {
        Id("dataviz.size")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("datalake.index")]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let Some(cron) = live(stack).await? else {
            return Ok(Observation::Missing(format!("cronjob {NAME}, index {SIZES}")));
        };
        if !object::is_ours(&cron.metadata) {
            return Ok(Observation::blocked(
                format!(
                    "namespace {}: CronJob {NAME} was not created by this tool",
                    stack.namespace()
                ),
                object::others_hint("cronjob", NAME, stack.namespace()),
            ));
        }
        if let Comparison::Differs(fields) = desired(stack)?.compare().await? {
            return Ok(Observation::Drifted(fields.into_iter().map(Difference::from).collect()));
        }
        let index = match datalake::client(stack).await?.index(SIZES).await {
            // Elasticsearch denies access until the operator has passed on a new role
            Err(error) if is_rejection(&error) => None,
            found => found?,
        };
        let Some(index) = index else { return Ok(Observation::Missing(format!("index {SIZES}"))) };
        let observation = compared(SIZES, &index, &definition()?);
        if !observation.is_equal() {
            return Ok(observation);
        }
        Ok(match (measured(&cron), fails_for(&cron)) {
            (None, _) => Observation::Missing("a first measurement of the data lake's size".into()),
            (_, Some(since)) => Observation::drifted(
                "the data lake's size",
                format!("not measured for {}", age(since)),
                "measured every 10 minutes",
            ),
            (Some(_), None) => Observation::Equal(format!("cronjob {NAME}, index {SIZES}")),
        })
    }

    async fn reconcile(&self, stack: &Stack, progress: &Progress<'_>) -> Result<Reconciled> {
        let elasticsearch = datalake::client(stack).await?;
        // the operator passes a new role to Elasticsearch within a minute
        let index = stack
            .until_success(&format!("index {SIZES}"), progress, || apply_index(&elasticsearch))
            .await?;
        if matches!(index, Reconciled::Started(_)) {
            return Ok(index);
        }
        desired(stack)?.apply().await?;
        let job = run(stack).await?;
        stack
            .until(
                &format!("job {}", job.metadata.name.as_deref().unwrap_or_default()),
                progress,
                || look(stack, &job),
            )
            .await
    }

    async fn plan_deletion(&self, stack: &Stack, _: DeleteOptions) -> Result<Deletion<ObjectRef>> {
        Ok(Deletion::of(object::ours::<CronJob>(&stack.cluster, NAME).await?))
    }

    async fn delete(&self, stack: &Stack, _: DeleteOptions, _: &Progress<'_>) -> Result<()> {
        object::delete(&stack.api::<CronJob>(), NAME, &DeleteParams::background()).await
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        Ok(vec![
            index_by_hand(stack, SIZES, &definition()?)?,
            Step::Apply { file: NAME, manifest: body(stack)? },
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(made: &str, begun: Option<&str>, measured: Option<&str>) -> CronJob {
        serde_json::from_value(json!({
            "metadata": {"name": NAME, "creationTimestamp": made}, "status": {"lastScheduleTime": begun, "lastSuccessfulTime": measured},
        }))
        .unwrap()
    }

    #[test]
    fn failing_runs_are_a_fault_and_suspended_runs_are_not() {
        let fails = |begun, measured| {
            fails_for(&cron("2026-11-27T10:00:00Z", begun, measured))
                .map(|since| since.as_secs() / 60)
        };
        assert_eq!(fails(None, None), None, "it is new");
        assert_eq!(
            fails(Some("2026-11-27T10:10:00Z"), None),
            None,
            "its first run is not finished"
        );
        assert_eq!(fails(Some("2026-11-27T10:40:00Z"), None), Some(40), "no run has succeeded");
        assert_eq!(fails(Some("2026-11-27T12:00:00Z"), Some("2026-11-27T12:00:04Z")), None);
        assert_eq!(fails(Some("2026-11-27T12:00:00Z"), Some("2026-11-27T11:00:04Z")), Some(59));
    }
}
