//! A report for support: the observations of a stack in files, without passwords and personal data.
//!
//! Each part is collected by itself, within a time limit. A part that cannot be collected is named on the first page.

mod redaction;

use std::collections::BTreeSet;
use std::io::{Cursor, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::{BoxFuture, FutureExt as _, join_all};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use kube::api::{DynamicObject, ListParams};
use kube::core::ApiResource;
use serde_json::Value;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::cluster::access::{Rule, Rules};
use crate::cluster::helm::Listed;
use crate::cluster::logs::{self, Extent, Log, Source};
use crate::cluster::{object, pods};
use crate::components::{self, datalake};
use crate::error;
use crate::output::units::{bytes, count};
use crate::stack::Stack;

use super::checks::{self, Checked, Verdict};
use redaction::Redactor;

/// What the parts need, besides the permissions of the checks.
pub const NEEDS: Rules = &[
    Rule::new("", "pods", &["list"], "the Pods"),
    Rule::new("", "pods/log", &["get"], "the logs"),
    Rule::new("", "events", &["list"], "the events"),
    Rule::new("", "services", &["list"], "the objects of the stack"),
    Rule::new("", "persistentvolumeclaims", &["list"], "the objects of the stack"),
    Rule::new("", "secrets", &["list"], "the values to remove from the report"),
    Rule::new("apps", "deployments", &["list"], "the objects of the stack"),
    Rule::new("apps", "statefulsets", &["list"], "the objects of the stack"),
    Rule::new("batch", "jobs", &["list"], "the objects of the stack"),
    Rule::new("batch", "cronjobs", &["list"], "the objects of the stack"),
    Rule::new("networking.k8s.io", "ingresses", &["list"], "the objects of the stack"),
    Rule::new("networking.k8s.io", "networkpolicies", &["list"], "the objects of the stack"),
];

/// The time limit of one part.
const LIMIT: Duration = Duration::from_secs(20);
/// The last lines of each log.
const LOG_LINES: i64 = 500;
/// The largest size of one part, in bytes. The end of a longer one is kept.
const LARGEST: usize = 1 << 20;
/// The largest size of all parts together, before compression, so that a mail can carry the archive.
const TOTAL: usize = 20 << 20;
const FIRST_PAGE: &str = "README.txt";

/// One file of the report, or why it is left out.
struct Part {
    name: String,
    content: Result<String>,
}

/// The report as a zip archive.
pub struct Report {
    pub archive: Vec<u8>,
    pub files: usize,
    /// The parts that are left out, with the reason.
    pub left_out: Vec<String>,
}

/// Collects the report. `command` is the command line, for the first page.
///
/// # Errors
/// When the archive cannot be written.
pub async fn collect(stack: &Stack, command: &str) -> Result<Report> {
    let (secrets, checked, parts) =
        tokio::join!(secrets(stack), limited(checks_of(stack).boxed()), parts(stack));
    let mut left_out = Vec::new();
    let secrets = secrets.unwrap_or_else(|error| {
        let why = error::one_line(&error);
        left_out.push(format!(
            "the comparison with all Secrets, so only patterns hide passwords: {why}"
        ));
        Vec::new()
    });
    let redactor = Redactor::new(secrets);
    let mut files = Vec::new();
    for Part { name, content } in parts {
        match content {
            Ok(text) => files.push((name, text)),
            Err(error) => left_out.push(format!("{name}: {}", error::one_line(&error))),
        }
    }
    let limit = fair_limit(files.iter().map(|(_, text)| text.len()), TOTAL).min(LARGEST);
    for (name, text) in files.iter_mut().filter(|(_, text)| text.len() > limit) {
        let before = text.len();
        *text = last(text, limit).to_owned();
        left_out.push(format!("{name}: the first {}", bytes((before - text.len()) as u64)));
    }
    let checks = match &checked {
        Ok(checked) => described(checked),
        Err(error) => {
            left_out.push(format!("checks: {}", error::one_line(error)));
            String::new()
        }
    };
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let first = first_page(stack, command, &checks, &names, &left_out);
    files.insert(0, (FIRST_PAGE.into(), first));
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in &files {
        archive.start_file(name.as_str(), SimpleFileOptions::default())?;
        archive.write_all(redactor.redact(text).as_bytes())?;
    }
    let archive = archive.finish().context("the archive of the report")?.into_inner();
    Ok(Report { archive, files: files.len(), left_out })
}

async fn limited<T>(collecting: BoxFuture<'_, Result<T>>) -> Result<T> {
    let limit = tokio::time::timeout(LIMIT, collecting).await;
    limit.unwrap_or_else(|_| Err(anyhow!("no response within {} s", LIMIT.as_secs())))
}

async fn checks_of(stack: &Stack) -> Result<Vec<Checked>> {
    checks::run(stack, checks::Extent::Stack, checks::Images::Unchecked).await
}

async fn parts(stack: &Stack) -> Vec<Part> {
    let mut collecting: Vec<(&str, BoxFuture<'_, Result<String>>)> = vec![
        ("versions.txt", versions(stack).boxed()),
        ("settings.yaml", async { settings(stack) }.boxed()),
        ("health.txt", health(stack).boxed()),
        ("releases.txt", releases(stack).boxed()),
        ("elasticsearch.txt", elasticsearch(stack).boxed()),
        ("events.txt", events(stack).boxed()),
        ("objects/elasticsearch.yaml", data_lake(stack).boxed()),
    ];
    macro_rules! objects {
        ($($kind:ty => $name:literal),* $(,)?) => {
            $(collecting.push(($name, listed(stack, ApiResource::erase::<$kind>(&())).boxed()));)*
        };
    }
    objects! {
        Pod => "objects/pods.yaml",
        Deployment => "objects/deployments.yaml",
        StatefulSet => "objects/statefulsets.yaml",
        Job => "objects/jobs.yaml",
        CronJob => "objects/cronjobs.yaml",
        Service => "objects/services.yaml",
        PersistentVolumeClaim => "objects/persistentvolumeclaims.yaml",
        Ingress => "objects/ingresses.yaml",
        NetworkPolicy => "objects/networkpolicies.yaml",
    }
    let collected = collecting.into_iter().map(|(name, collecting)| async move {
        Part { name: name.into(), content: limited(collecting).await }
    });
    let (mut parts, logs) = futures::future::join(join_all(collected), all_logs(stack)).await;
    parts.extend(logs);
    parts
}

/// The keys of Secrets with names, roles and certificates, which occur everywhere.
const PUBLIC: [&str; 5] = ["username", "roles", "roles.yml", "ca.crt", "tls.crt"];

/// The values of all Secrets, and their form in a manifest.
async fn secrets(stack: &Stack) -> Result<Vec<String>> {
    let listing = async { Ok(stack.api::<Secret>().list(&ListParams::default()).await?) };
    let secrets = limited(listing.boxed()).await?;
    let values = secrets.items.into_iter().filter_map(|secret| secret.data).flatten();
    let texts = values
        .filter(|(key, _)| !PUBLIC.contains(&key.as_str()))
        .filter_map(|(_, value)| String::from_utf8(value.0).ok());
    // a value with several lines appears line by line
    let forms = |text: String| {
        let lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
        lines.into_iter().chain([STANDARD.encode(text)])
    };
    Ok(texts.flat_map(forms).collect())
}

async fn versions(stack: &Stack) -> Result<String> {
    let cluster = stack.cluster.client.apiserver_version().await;
    let helm = stack.helm.version().await;
    let or_why = |text: Result<String>| text.unwrap_or_else(|error| error::one_line(&error));
    Ok(format!(
        "kubectl-lastack {}\nKubernetes {}\nhelm {}\n",
        env!("CARGO_PKG_VERSION"),
        or_why(cluster.map(|info| info.git_version).map_err(Into::into)),
        or_why(helm.map(ToString::to_string)),
    ))
}

fn settings(stack: &Stack) -> Result<String> {
    Ok(stack.settings.to_data()?.into_values().collect())
}

async fn health(stack: &Stack) -> Result<String> {
    let healths = components::all().iter().map(|component| async move {
        let health = component.health(stack).await;
        let aspects = health.aspects().into_iter().filter_map(|(aspect, seen)| {
            let seen = seen?;
            let word = if seen.is_fault() { "FAULT" } else { "" };
            Some(format!(
                "{:<9} {aspect:<9} {word:<6} {}\n",
                component.declaration().name,
                seen.text()
            ))
        });
        aspects.collect::<String>()
    });
    Ok(join_all(healths).await.concat())
}

async fn releases(stack: &Stack) -> Result<String> {
    let releases = stack
        .releases()
        .await?
        .context("you may not list Secrets, in which helm stores releases")?;
    let line =
        |one: &Listed| format!("{} {} {} {}\n", one.name, one.status, one.chart, one.app_version);
    Ok(releases.iter().map(line).collect())
}

async fn elasticsearch(stack: &Stack) -> Result<String> {
    let elasticsearch = datalake::reader(stack).await?;
    let (health, contents, disks, unassigned) = tokio::join!(
        elasticsearch.health(),
        elasticsearch.contents(),
        elasticsearch.disks(),
        elasticsearch.why_unassigned()
    );
    let health = health?;
    let mut text = format!("status {}, {} nodes\n", health.status, health.number_of_nodes);
    text.push_str(&match contents {
        Ok(contents) => {
            format!("{} statements, {}\n", count(contents.statements), bytes(contents.bytes))
        }
        Err(error) => format!("statements: {}\n", error::one_line(&error)),
    });
    for disk in disks.unwrap_or_default() {
        text.push_str(&format!(
            "{}: {} of {} left\n",
            disk.node,
            bytes(disk.available),
            bytes(disk.total)
        ));
    }
    if let Ok(Some(why)) = unassigned {
        text.push_str(&why);
        text.push('\n');
    }
    Ok(text)
}

async fn events(stack: &Stack) -> Result<String> {
    let mut events = stack.api::<Event>().list(&ListParams::default()).await?.items;
    let at = |event: &Event| {
        let time = event.last_timestamp.as_ref().map(|time| time.0);
        time.or(event.event_time.as_ref().map(|time| time.0))
    };
    events.sort_by_key(at);
    let line = |event: &Event| {
        let (object, time) = (&event.involved_object, at(event).map(|at| at.to_string()));
        format!(
            "{} {} {}/{} {}: {}\n",
            time.unwrap_or_default(),
            event.type_.as_deref().unwrap_or_default(),
            object.kind.as_deref().unwrap_or_default().to_lowercase(),
            object.name.as_deref().unwrap_or_default(),
            event.reason.as_deref().unwrap_or_default(),
            event.message.as_deref().unwrap_or_default().trim()
        )
    };
    Ok(events.iter().map(line).collect())
}

async fn listed(stack: &Stack, kind: ApiResource) -> Result<String> {
    written(stack.objects(&kind).list(&ListParams::default()).await?.items)
}

/// The resource of the data lake, which a Role allows by its name only.
async fn data_lake(stack: &Stack) -> Result<String> {
    written(stack.objects(&datalake::kind()).get_opt(datalake::RESOURCE).await?)
}

/// Objects as YAML, without the values of environment variables, which may be passwords.
fn written(objects: impl IntoIterator<Item = DynamicObject>) -> Result<String> {
    let mut text = String::new();
    for mut object in objects {
        object.metadata.managed_fields = None;
        let mut value = serde_json::to_value(&object)?;
        hide_environment(&mut value);
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(&value).context("an object as YAML")?);
    }
    Ok(text)
}

fn hide_environment(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // the last applied object contains all of it again
            if let Some(Value::Object(annotations)) = fields.get_mut("annotations") {
                annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            }
            for (name, value) in fields {
                if name == "env" {
                    let variables = value.as_array_mut().into_iter().flatten();
                    for variable in variables.filter_map(|one| one.get_mut("value")) {
                        *variable = "[hidden]".into();
                    }
                }
                hide_environment(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_environment),
        _ => {}
    }
}

async fn all_logs(stack: &Stack) -> Vec<Part> {
    let pods = match pods::all(&stack.cluster, &object::of_a_stack()).await {
        Ok(pods) => pods,
        Err(error) => return vec![Part { name: "logs".into(), content: Err(error.into()) }],
    };
    let sources: BTreeSet<Source> = pods.iter().flat_map(logs::sources).collect();
    // the log before a restart has the cause of a crash
    let restarted = sources.iter().filter(|source| source.restarts > 0).cloned();
    let all = sources.iter().cloned().map(|source| (source, false));
    let all: Vec<_> = all.chain(restarted.map(|source| (source, true))).collect();
    let reading = all.into_iter().map(|(source, previous)| async move {
        let suffix = if previous { ".previous" } else { "" };
        let name = format!("logs/{}-{}{suffix}.log", source.pod, source.container);
        Part { name, content: limited(log(stack, source, previous).boxed()).await }
    });
    join_all(reading).await
}

async fn log(stack: &Stack, source: Source, previous: bool) -> Result<String> {
    let extent = Extent { previous, tail_lines: Some(LOG_LINES), ..Extent::default() };
    let mut log = Log::open(&stack.cluster, source, extent).await?;
    let mut text = String::new();
    while let Some(line) = log.next().await? {
        let at = line.at.map(|at| at.to_string()).unwrap_or_default();
        text.push_str(&format!("{at} {}\n", line.message));
    }
    Ok(text)
}

/// The size to which the largest parts are shortened, so that all together have `total` bytes at most.
fn fair_limit(sizes: impl Iterator<Item = usize>, total: usize) -> usize {
    let mut sizes: Vec<usize> = sizes.collect();
    sizes.sort_unstable();
    let mut left = total;
    for (i, size) in sizes.iter().enumerate() {
        let share = left / (sizes.len() - i);
        if *size > share {
            return share;
        }
        left -= size;
    }
    total
}

/// The end of a text, from the beginning of a line.
fn last(text: &str, bytes: usize) -> &str {
    let Some(from) = text.len().checked_sub(bytes) else { return text };
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text[from..].split_once('\n').map_or("", |(_, rest)| rest)
}

/// The checks that did not pass, the first cause first.
fn described(checked: &[Checked]) -> String {
    let mut text = String::new();
    for Checked { id, severity, result } in checked {
        let word = severity.as_str();
        match result {
            Verdict::Failed { observed, remedy } => {
                text.push_str(&format!("{word:<8} {id}: {observed}\n         remedy: {remedy}\n"));
            }
            Verdict::Unknown(permission) => {
                text.push_str(&format!("unknown  {id}: {permission}\n"))
            }
            Verdict::After(need) => text.push_str(&format!("skipped  {id}: after {need}\n")),
            Verdict::Passed(_) => {}
        }
    }
    match text.is_empty() {
        true => format!("All {} checks passed.\n", checked.len()),
        false => text,
    }
}

fn first_page(
    stack: &Stack,
    command: &str,
    checks: &str,
    files: &[&str],
    left_out: &[String],
) -> String {
    let list =
        |lines: &[String]| lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
    let files: Vec<String> = files.iter().map(|name| (*name).to_owned()).collect();
    let left_out = match left_out.is_empty() {
        true => "  nothing\n".to_owned(),
        false => list(left_out),
    };
    format!(
        "Report of the learning-analytics stack in namespace {}\nmade by kubectl-lastack {} at {}\nwith: {command}\n\n\
         CHECKS\n{checks}\nFILES\n{}\nLEFT OUT\n{left_out}\n\
         Passwords, mail addresses, personal names and public addresses are replaced. Read the files before you send\n\
         them, because the rules do not recognise every name.\n",
        stack.namespace(),
        env!("CARGO_PKG_VERSION"),
        jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC"),
        list(&files),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_part_keeps_its_end_from_the_beginning_of_a_line() {
        assert_eq!(last("one\ntwo\nthree\n", 100), "one\ntwo\nthree\n");
        assert_eq!(last("one\ntwo\nthree\n", 8), "three\n");
        assert_eq!(last("é".repeat(10).as_str(), 5), "");
    }

    #[test]
    fn largest_parts_share_what_the_small_ones_leave() {
        let limit = |sizes: &[usize]| fair_limit(sizes.iter().copied(), 100);
        assert_eq!(limit(&[10, 20, 30]), 100);
        assert_eq!(limit(&[10, 500, 500]), 45);
        assert_eq!(limit(&[500]), 100);
        assert_eq!(limit(&[]), 100);
    }

    #[test]
    fn environment_of_a_container_is_hidden_and_its_references_stay() {
        let mut pod = json!({"spec": {"containers": [{"env": [
            {"name": "A", "value": "open"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s"}}},
        ]}]}});
        hide_environment(&mut pod);
        let env = &pod["spec"]["containers"][0]["env"];
        assert_eq!(env[0]["value"], "[hidden]");
        assert_eq!(env[1]["valueFrom"]["secretKeyRef"]["name"], "s");
    }
}
