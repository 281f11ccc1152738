//! The client of an external database: a Job with the tools of PostgreSQL. Through it, a backup copies the database.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Resource};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::access::{Rule, Rules};
use crate::cluster::jobs;
use crate::cluster::object::is_ours;
use crate::cluster::pods;
use crate::cluster::psql::{self, Psql};
use crate::cluster::wait::Wait;
use crate::error::Failure;
use crate::stack::{SETTINGS, Stack};

use super::model::ExternalDatabase;

/// What [`open`] and [`close`] need.
pub const RULES: Rules = &[
    Rule::new("batch", "jobs", &["create", "delete", "get"], CLIENT),
    Rule::new("", "configmaps", &["get"], CLIENT).named(&[SETTINGS]),
    Rule::new("", "pods", &["list"], CLIENT),
    Rule::new("", "pods/exec", &["create"], CLIENT),
];

const CLIENT: &str = "the client of an external database, with `--external`";

/// Time limit for the start of the client, with the pull of its image.
const START: Duration = Duration::from_secs(300);
/// Kubernetes ends a client after this time, in seconds, if this program was killed.
const LONGEST: u32 = 24 * 60 * 60;

/// Writes the password to the file that the tools read, so that it is in no environment. `:` and `\` separate its fields.
const SCRIPT: &str = r#"umask 077
sed 's/[\\:]/\\&/g; s/^/*:*:*:*:/' /account/password >"$PGPASSFILE"
exec sleep infinity"#;

/// The access to a database in chart values.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Address {
    host: String,
    port: u16,
    database: String,
    user: String,
    existing_secret: String,
    ssl_mode: String,
    ca_secret: String,
    ca_key: String,
}

impl Address {
    /// The host and the name of the database.
    fn shown(&self) -> String {
        format!("{}/{}", self.host, self.database)
    }
}

fn address(stack: &Stack, database: ExternalDatabase) -> Result<Address> {
    serde_json::from_value(stack.chart_values(database.component, "externalDatabase")?)
        .with_context(|| format!("the external database of {}", database.program))
}

/// The host and the name of a database.
///
/// # Errors
/// When the chart values do not describe it.
pub fn shown(stack: &Stack, database: ExternalDatabase) -> Result<String> {
    Ok(address(stack, database)?.shown())
}

/// Starts the client of a database, in place of one that an interrupted command left.
///
/// # Errors
/// When a Pod of the namespace cannot be started.
pub async fn open(
    stack: &Stack,
    database: ExternalDatabase,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Psql> {
    let address = address(stack, database)?;
    close(stack, database).await?;
    let settings = stack.api::<ConfigMap>().get(SETTINGS).await?;
    let mut job: Job = serde_json::from_value(job(stack, database, &address)?)?;
    // an uninstall deletes it too
    job.metadata.owner_references = settings.owner_ref(&()).map(|owner| vec![owner]);
    let job = stack.api::<Job>().create(&PostParams::default(), &job).await;
    let name = database.client;
    let job = job.with_context(|| format!("job {name}"))?;
    let wait = Wait { object: name, deadline: Some(Instant::now() + START), say };
    let pod = jobs::wait_for_pod(&stack.cluster, &job, wait, pods::is_ready).await?;
    Ok(Psql::in_pod(&stack.cluster, pod, address.shown()))
}

/// Deletes the client of a database.
///
/// # Errors
/// When it cannot be deleted, or another program created a Job with its name.
pub async fn close(stack: &Stack, database: ExternalDatabase) -> Result<()> {
    let (api, name): (Api<Job>, _) = (stack.api(), database.client);
    let Some(job) = api.get_opt(name).await.with_context(|| format!("job {name}"))? else {
        return Ok(());
    };
    if !is_ours(&job.metadata) {
        let what = format!("job {name} was not created by this tool");
        return Err(Failure::failed(what).hint("rename it, then repeat the command").into());
    }
    match api.delete(name, &DeleteParams::background()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        deleted => deleted.map(drop).with_context(|| format!("job {name}")),
    }
}

fn job(stack: &Stack, database: ExternalDatabase, address: &Address) -> Result<Value> {
    let component = database.component;
    let image = stack.image(stack.versions.of(component).image("postgresql"));
    let secret = |name: &str, key: &str, path: &str| json!({"secretName": name, "defaultMode": 0o444, "items": [{"key": key, "path": path}]});
    let mut volumes = vec![
        json!({"name": "tmp", "emptyDir": {"medium": "Memory"}}),
        json!({"name": "account", "secret": secret(&address.existing_secret, "password", "password")}),
    ];
    let mut mounts = vec![
        json!({"name": "tmp", "mountPath": "/tmp"}),
        json!({"name": "account", "mountPath": "/account", "readOnly": true}),
    ];
    let mut environment = vec![
        ("PGHOST", address.host.clone()),
        ("PGPORT", address.port.to_string()),
        ("PGSSLMODE", address.ssl_mode.clone()),
        ("PGPASSFILE", "/tmp/account".into()),
        ("POSTGRES_USER", address.user.clone()),
        ("POSTGRES_DB", address.database.clone()),
        ("HOME", "/tmp".into()),
    ];
    if !address.ca_secret.is_empty() {
        volumes.push(json!({"name": "authority", "secret": secret(&address.ca_secret, &address.ca_key, "ca.crt")}));
        mounts.push(json!({"name": "authority", "mountPath": "/authority", "readOnly": true}));
        environment.push(("PGSSLROOTCERT", "/authority/ca.crt".into()));
    }
    let environment: Vec<Value> = environment
        .into_iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let name = database.client;
    let labels = stack.labels("postgresql-client", "backup");
    Ok(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "backoffLimit": 0, "activeDeadlineSeconds": LONGEST, "ttlSecondsAfterFinished": 60,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 0,
                    "automountServiceAccountToken": false,
                    "imagePullSecrets": stack.chart_values(component, "imagePullSecrets")?,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65534, "runAsGroup": 65534,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [{
                        "name": psql::CONTAINER,
                        "image": image,
                        "command": ["sh", "-ec", SCRIPT],
                        "env": environment,
                        "readinessProbe": {"exec": {"command": ["test", "-s", "/tmp/account"]}, "periodSeconds": 1},
                        "resources": {
                            "requests": {"cpu": "10m", "memory": "32Mi"},
                            "limits": {"memory": "512Mi"},
                        },
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                            "capabilities": {"drop": ["ALL"]},
                        },
                        "volumeMounts": mounts,
                    }],
                    "volumes": volumes,
                },
            },
        },
    }))
}
