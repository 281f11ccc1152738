//! The one runner of the `helm` on PATH. Only what helm 3 and helm 4 share is used; values go over stdin,
//! because argv is readable by everybody on the machine.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::error::{Failure, Kind};
use crate::output::printer;
use crate::output::units::took;

use super::{Cluster, object};

mod chart;

pub use chart::{ChartRef, Install};

/// Marks in a release's description what it was made from.
const DIGEST: &str = "sha256:";

/// How long helm may take to tell something.
const LOOK: Duration = Duration::from_secs(60);
/// The timeout of a change without waiting.
const CHANGE: Duration = Duration::from_secs(300);
/// What a change gets whatever is left until the deadline: one that is cut off has to be repaired.
const SHORTEST_CHANGE: Duration = Duration::from_secs(60);

/// Whether a variable of ours must not reach helm. What counts of those that say which cluster, as whom and which
/// namespace is in helm's arguments and kubeconfig already; in the environment it would go over these. `HELM_DEBUG` adds
/// a stack trace to helm's errors, and an address may hold a password.
fn is_not_for_helm(variable: &OsStr) -> bool {
    let names = ["HELM_NAMESPACE", "HELM_DEBUG", "LASTACK_PLUGIN"];
    variable.to_str().is_some_and(|name| name.starts_with("HELM_KUBE") || names.contains(&name))
}

pub struct Helm {
    program: Option<PathBuf>,
    connection: Vec<String>,
    /// Absolute, because helm runs in a directory of its own.
    kubeconfig: Option<OsString>,
    /// Of the command that helm works for.
    pub deadline: Option<Instant>,
    version: OnceCell<semver::Version>,
}

/// The status of a release, in helm's words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Deployed,
    Failed,
    PendingInstall,
    PendingUpgrade,
    PendingRollback,
    Superseded,
    Uninstalled,
    Uninstalling,
    #[serde(untagged)]
    Other(String),
}

impl Status {
    /// Whether helm works on the release, or was killed while it did.
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::PendingInstall | Self::PendingUpgrade | Self::PendingRollback)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deployed => "deployed",
            Self::Failed => "failed",
            Self::PendingInstall => "pending-install",
            Self::PendingUpgrade => "pending-upgrade",
            Self::PendingRollback => "pending-rollback",
            Self::Superseded => "superseded",
            Self::Uninstalled => "uninstalled",
            Self::Uninstalling => "uninstalling",
            Self::Other(status) => status,
        })
    }
}

/// A release as `helm status` and `helm list` tell it.
#[derive(Debug, Clone)]
pub struct Release {
    pub revision: u64,
    pub status: Status,
    pub made_by: MadeBy,
    pub deployed_at: Option<jiff::Timestamp>,
    /// The objects that helm applied.
    pub manifest: String,
}

/// Who made a revision of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MadeBy {
    /// This tool, from the chart and values of this digest. None: helm did something else to the release since,
    /// such as a rollback.
    Us {
        digest: Option<String>,
    },
    Others,
}

/// A row of `helm list`.
#[derive(Debug, Clone, Deserialize)]
pub struct Listed {
    pub name: String,
    pub status: Status,
    /// `ralph-0.1.0`
    pub chart: String,
    pub app_version: String,
}

impl Helm {
    /// The `helm` on PATH; under helm itself, the helm that runs us.
    pub fn find(cluster: &Cluster, deadline: Option<Instant>) -> Self {
        let caller = std::env::var_os("HELM_PLUGIN_NAME")
            .and_then(|_| std::env::var_os("HELM_BIN"))
            .filter(|bin| !bin.is_empty());
        let program =
            caller.and_then(|bin| which::which(bin).ok()).or_else(|| which::which("helm").ok());
        let context = cluster
            .helm
            .context
            .iter()
            .flat_map(|context| ["--kube-context".to_string(), context.clone()]);
        let kubeconfig = cluster
            .helm
            .kubeconfig
            .clone()
            .map(OsString::from)
            .or_else(|| std::env::var_os("KUBECONFIG"));
        let kubeconfig = kubeconfig.and_then(|list| absolute(&list));
        Self {
            program,
            connection: context.collect(),
            kubeconfig,
            deadline,
            version: OnceCell::new(),
        }
    }

    pub async fn version(&self) -> Result<&semver::Version> {
        let asked = self.version.get_or_try_init(|| async {
            let text = self.look(&["version", "--template", "{{.Version}}"]).await?;
            let text = text.trim();
            semver::Version::parse(text.trim_start_matches('v'))
                .with_context(|| format!("`helm version` answered `{text}`"))
        });
        asked.await
    }

    /// The flags that make helm restore a field that a user set with kubectl. In helm 4, the user owns the field, and
    /// helm gives up; before, helm does so anyway.
    async fn taking_over(&self) -> Result<&'static [&'static str]> {
        Ok(if self.version().await?.major < 4 {
            &[]
        } else {
            &["--server-side=true", "--force-conflicts"]
        })
    }

    /// None when there is no such release.
    pub async fn status(&self, release: &str, namespace: &str) -> Result<Option<Release>> {
        #[derive(Deserialize)]
        struct Document {
            version: u64,
            info: Info,
            #[serde(default)]
            manifest: String,
        }
        #[derive(Deserialize)]
        struct Info {
            status: Status,
            #[serde(default)]
            description: String,
            last_deployed: Option<String>,
        }
        let text = match self.look(&["status", release, "-n", namespace, "-o", "json"]).await {
            Ok(text) => text,
            Err(error) if error.to_string().contains("release: not found") => return Ok(None),
            Err(error) => return Err(error),
        };
        // helm may print other lines before the document
        let json = text.find('{').map_or("", |start| &text[start..]);
        // the document holds values and manifests: an error must not quote it
        let document: Document = serde_json::from_str(json).map_err(|error| {
            anyhow!("`helm status {release}` gave no readable JSON (line {})", error.line())
        })?;
        let made_by = match digest_in(&document.info.description) {
            None if !self.is_labelled(release, namespace).await? => MadeBy::Others,
            digest => MadeBy::Us { digest },
        };
        Ok(Some(Release {
            revision: document.version,
            status: document.info.status,
            made_by,
            deployed_at: document.info.last_deployed.and_then(|time| time.parse().ok()),
            manifest: document.manifest,
        }))
    }

    /// Whether another tool or user created the release.
    pub async fn is_others(&self, release: &str, namespace: &str) -> Result<bool> {
        Ok(self
            .status(release, namespace)
            .await?
            .is_some_and(|release| release.made_by == MadeBy::Others))
    }

    async fn is_labelled(&self, release: &str, namespace: &str) -> Result<bool> {
        Ok(self
            .select(namespace, &["--selector", &object::of_a_stack()])
            .await?
            .iter()
            .any(|listed| listed.name == release))
    }

    /// All releases of a namespace, whatever their status.
    pub async fn list(&self, namespace: &str) -> Result<Vec<Listed>> {
        self.select(namespace, &[]).await
    }

    async fn select(&self, namespace: &str, selection: &[&str]) -> Result<Vec<Listed>> {
        let all = [
            "list",
            "-n",
            namespace,
            "-o",
            "json",
            "--deployed",
            "--failed",
            "--pending",
            "--uninstalling",
        ];
        let text = self.look(&[&all, selection].concat()).await?;
        let json = text.find('[').map_or("[]", |start| &text[start..]);
        serde_json::from_str(json).context("`helm list` gave no readable JSON")
    }

    /// Fails when the chart does not take the values. What it renders is thrown away.
    pub async fn try_values(&self, install: &Install) -> Result<()> {
        self.run_with_chart(&["template"], install, &[]).await
    }

    /// Installs or upgrades, without waiting for what was applied.
    pub async fn upgrade(&self, install: &Install) -> Result<()> {
        let description =
            format!("kubectl-lastack {}, {DIGEST}{}", env!("CARGO_PKG_VERSION"), install.digest());
        let label = object::of_a_stack();
        let mut options =
            vec!["--history-max", "5", "--labels", &label, "--description", &description];
        if install.brings_namespace {
            options.push("--create-namespace");
        }
        options.extend(self.taking_over().await?);
        self.run_with_chart(&["upgrade", "--install"], install, &options).await
    }

    /// A verb that takes a release, its chart and the values.
    async fn run_with_chart(
        &self,
        verb: &[&str],
        install: &Install,
        options: &[&str],
    ) -> Result<()> {
        let scratch = tempfile::tempdir().context("no place for helm's files")?;
        let chart = install.chart.arguments(scratch.path())?;
        let mut arguments = [verb, &[install.release]].concat();
        arguments.extend(chart.iter().map(String::as_str));
        arguments.extend(["-n", &install.namespace, "-f", "-"]);
        arguments.extend(options);
        self.change(&arguments, Some(install.values.to_string())).await
    }

    /// Back to a revision, or to the one before the last.
    pub async fn rollback(
        &self,
        release: &str,
        namespace: &str,
        revision: Option<u64>,
    ) -> Result<()> {
        let revision = revision.map(|revision| revision.to_string());
        let mut arguments = vec!["rollback", release];
        arguments.extend(revision.as_deref());
        arguments.extend(["-n", namespace]);
        arguments.extend(self.taking_over().await?);
        self.change(&arguments, None).await
    }

    pub async fn uninstall(&self, release: &str, namespace: &str) -> Result<()> {
        self.change(&["uninstall", release, "-n", namespace, "--wait"], None).await
    }

    /// Asks helm, and gives its stdout.
    async fn look(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command(arguments)?;
        // an abandoned helm process is killed
        command.kill_on_drop(true);
        run(command, arguments, None, LOOK).await
    }

    /// Lets helm do something. A helm that is in the middle of it when the user breaks off ends it by itself.
    async fn change(&self, arguments: &[&str], stdin: Option<String>) -> Result<()> {
        let left = |deadline: Instant| {
            deadline.saturating_duration_since(Instant::now()).max(SHORTEST_CHANGE)
        };
        run(self.command(arguments)?, arguments, stdin, self.deadline.map_or(CHANGE, left))
            .await
            .map(drop)
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let Some(program) = &self.program else {
            return Err(Failure::failed("there is no `helm` on PATH")
                .hint("install helm 3 or 4: https://helm.sh/docs/intro/install")
                .into());
        };
        let mut command = Command::new(program);
        // helm takes a folder of the working directory for the chart of the same name
        command.args(&self.connection).args(arguments).current_dir(std::env::temp_dir());
        let line = self
            .connection
            .iter()
            .map(String::as_str)
            .chain(arguments.iter().copied())
            .collect::<Vec<_>>()
            .join(" ");
        printer::debug(&format!("helm {line}"));
        for (variable, _) in std::env::vars_os().filter(|(variable, _)| is_not_for_helm(variable)) {
            command.env_remove(variable);
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        Ok(command)
    }
}

/// Runs helm to its end, or until it has taken too long, and gives its stdout.
async fn run(
    mut command: Command,
    arguments: &[&str],
    stdin: Option<String>,
    limit: Duration,
) -> Result<String> {
    let verb = arguments.first().unwrap_or(&"");
    let failed = format!("cannot run {}", command.as_std().get_program().display());
    command
        .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| failed.clone())?;
    let (pipe, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let (Some(mut pipe), Some(text)) = (pipe, stdin) {
            // a helm that ends without reading tells why on stderr
            let _ = pipe.write_all(text.as_bytes()).await;
        }
        Ok(())
    };
    let ended = async { tokio::try_join!(child.wait(), write, read(stdout), read(stderr)) };
    let Ok(ended) = tokio::time::timeout(limit, ended).await else {
        let _ = child.start_kill();
        return Err(Failure::new(Kind::TimedOut, format!("`helm {verb}` did not end within {}", took(limit)))
            .hint("see whether helm reaches the cluster: helm list; the same command goes on where this run stopped")
            .into());
    };
    let (status, (), stdout, stderr) = ended.context(failed)?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    Err(anyhow!("`helm {verb}` failed: {}", reason(&String::from_utf8_lossy(&stderr))))
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// The paths of a KUBECONFIG list, made independent of the working directory.
fn absolute(list: &OsStr) -> Option<OsString> {
    let paths = std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty());
    let paths: Vec<PathBuf> =
        paths.map(|path| std::path::absolute(&path).unwrap_or(path)).collect();
    if paths.is_empty() { None } else { std::env::join_paths(paths).ok() }
}

fn digest_in(description: &str) -> Option<String> {
    description.split_once(DIGEST).map(|(_, digest)| digest.trim().to_string())
}

/// What helm says went wrong, without its warnings.
fn reason(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let from =
        lines.iter().position(|line| line.starts_with("Error:") || line.starts_with("error:"));
    let told = from.map_or(lines.as_slice(), |from| &lines[from..]);
    if told.is_empty() {
        "it did not say why".into()
    } else {
        told.join(" ").trim_start_matches("Error: ").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[tokio::test]
    async fn a_helm_that_does_not_come_to_an_end_is_ended() {
        let mut hangs = Command::new("sh");
        hangs.args(["-c", "exec sleep 600"]);
        let error =
            run(hangs, &["status", "lrs"], None, Duration::from_millis(200)).await.unwrap_err();
        assert!(error.to_string().starts_with("`helm status` did not end within "), "{error:#}");
        assert_eq!(crate::error::kind(&error), Kind::TimedOut);
    }

    #[test]
    fn helms_warnings_do_not_hide_its_error() {
        let stderr = "WARNING: Kubernetes configuration file is group-readable.\nError: INSTALLATION FAILED: cannot re-use a name\n";
        assert_eq!(reason(stderr), "INSTALLATION FAILED: cannot re-use a name");
        assert_eq!(reason("\n"), "it did not say why");
    }
}
