//! The logs of several containers as one stream of lines.

use std::pin::Pin;

use anyhow::{Context as _, Result};
use futures::io::{AsyncBufRead, AsyncBufReadExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::LogParams;

use super::Cluster;
use super::access::{Rule, Rules};
use super::pods::statuses;

pub const RULES: Rules = &[
    Rule::new("", "pods", &["list"], "the Pods of the stack"),
    Rule::new("", "pods/log", &["get"], "the logs"),
];

/// A container whose log can be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    pub pod: String,
    pub container: String,
    /// A restarted container has another log.
    pub restarts: i32,
}

/// The part of a log to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extent {
    /// The log of the container before its last restart.
    pub previous: bool,
    /// Wait for new lines.
    pub follow: bool,
    /// Only lines of the last seconds.
    pub since_seconds: Option<i64>,
    /// Only this number of last lines.
    pub tail_lines: Option<i64>,
    /// Only lines after this time.
    pub after: Option<Timestamp>,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When the container wrote it. None: the kubelet sent a line without a time.
    pub at: Option<Timestamp>,
    pub message: String,
}

/// The open log of one container.
pub struct Log {
    pub source: Source,
    after: Option<Timestamp>,
    lines: Pin<Box<dyn AsyncBufRead + Send>>,
}

/// The containers of a Pod that have started: init containers, too.
pub fn sources(pod: &Pod) -> Vec<Source> {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let has_started = |status: &&ContainerStatus| {
        let state = status.state.as_ref();
        state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    };
    let of = |status: &ContainerStatus| Source {
        pod: name.clone(),
        container: status.name.clone(),
        restarts: status.restart_count,
    };
    statuses(pod).filter(has_started).map(of).collect()
}

impl Log {
    /// # Errors
    /// When the API server does not open the log.
    pub async fn open(cluster: &Cluster, source: Source, extent: Extent) -> Result<Self> {
        let params = LogParams {
            container: Some(source.container.clone()),
            follow: extent.follow,
            previous: extent.previous,
            since_seconds: extent.since_seconds,
            tail_lines: extent.tail_lines,
            // the client would round a fraction up
            since_time: extent
                .after
                .and_then(|after| Timestamp::from_second(after.as_second()).ok()),
            timestamps: true,
            ..LogParams::default()
        };
        // a client without a timeout, because a quiet container sends nothing for long
        let pods: kube::Api<Pod> =
            kube::Api::namespaced(cluster.streams.clone(), &cluster.namespace);
        let lines = pods.log_stream(&source.pod, &params).await;
        let lines = lines.with_context(|| format!("log of pod {}", source.pod))?;
        Ok(Self { source, after: extent.after, lines: Box::pin(lines) })
    }

    /// The next line. None: the log has ended.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Line>> {
        loop {
            let mut line = Vec::new();
            let read = self.lines.read_until(b'\n', &mut line).await;
            if read.with_context(|| format!("log of pod {}", self.source.pod))? == 0 {
                return Ok(None);
            }
            let line = parse(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
            if line.at.is_none() || line.at > self.after {
                return Ok(Some(line));
            }
        }
    }
}

/// A line after its time, as the kubelet sends it.
fn parse(line: &str) -> Line {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    match first.parse() {
        Ok(at) => Line { at: Some(at), message: rest.into() },
        Err(_) => Line { at: None, message: line.into() },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn line_is_split_from_its_time() {
        let line = parse("2026-11-29T12:00:00.123456789Z GET / 200");
        assert_eq!(line.at.unwrap().to_string(), "2026-11-29T12:00:00.123456789Z");
        assert_eq!(line.message, "GET / 200");
        assert_eq!(parse("2026-11-29T12:00:00Z").message, "");
        assert_eq!(
            parse("failed to open log"),
            Line { at: None, message: "failed to open log".into() }
        );
    }

    #[test]
    fn containers_that_have_not_started_have_no_log() {
        let pod = json!({"metadata": {"name": "a"}, "status": {
            "initContainerStatuses": [{"name": "init", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}],
            "containerStatuses": [
                {"name": "runs", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}},
                {"name": "waits", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"waiting": {}}},
            ],
        }});
        let names: Vec<String> = sources(&serde_json::from_value(pod).unwrap())
            .into_iter()
            .map(|source| source.container)
            .collect();
        assert_eq!(names, ["init", "runs"]);
    }
}
