//! Runs the `helm` on PATH, with options that helm 3 and helm 4 share. Values go over stdin, because all users of a machine
//! can read argv.

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

use crate::error::{Failure, Kind, unreachable};
use crate::output::units::took;

use super::{Cluster, object};

mod chart;

pub use chart::{ChartRef, Install};

/// The prefix of the digest in a release's description.
const DIGEST: &str = "sha256:";

/// The timeout of a query.
const QUERY: Duration = Duration::from_secs(60);
/// The timeout of a change without waiting.
const CHANGE: Duration = Duration::from_secs(300);
/// The minimum timeout of a change, even after the deadline. An interrupted change requires a repair.
const SHORTEST_CHANGE: Duration = Duration::from_secs(60);

/// Whether a variable of our environment must not reach helm. helm's arguments and kubeconfig select the cluster, the user
/// and the namespace, and variables would override them. `HELM_DEBUG` adds a stack trace to helm's errors. The URL in
/// `LASTACK_PLUGIN` may contain a password.
fn is_not_for_helm(variable: &OsStr) -> bool {
    let names = ["HELM_NAMESPACE", "HELM_DEBUG", "LASTACK_PLUGIN"];
    variable.to_str().is_some_and(|name| name.starts_with("HELM_KUBE") || names.contains(&name))
}

pub struct Helm {
    program: Option<PathBuf>,
    connection: Vec<String>,
    /// Absolute paths, because helm runs in another directory.
    kubeconfig: Option<OsString>,
    /// The deadline of the command that runs helm.
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
    /// Whether helm is changing the release, or was killed during a change.
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

/// A release as `helm status` and `helm list` report it.
#[derive(Debug, Clone)]
pub struct Release {
    pub revision: u64,
    pub status: Status,
    pub made_by: MadeBy,
    pub deployed_at: Option<jiff::Timestamp>,
    /// The objects that helm applied.
    pub manifest: String,
}

/// The creator of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MadeBy {
    /// This tool, from the chart and values with this digest. None: helm changed the release afterwards, such as in a
    /// rollback.
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
    /// Name and version, such as `ralph-0.1.0`.
    pub chart: String,
    pub app_version: String,
}

impl Helm {
    /// Finds the `helm` on PATH, or the helm that runs this plugin.
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
        let version = self.version.get_or_try_init(|| async {
            let text = self.query(&["version", "--template", "{{.Version}}"]).await?;
            let text = text.trim();
            parse_version(text).with_context(|| format!("`helm version` printed `{text}`"))
        });
        version.await
    }

    /// The flags that make helm restore a field that a user changed with kubectl. Without them, helm 4 fails, because the
    /// user owns the field. helm 3 needs no flags.
    async fn force_conflicts(&self) -> Result<&'static [&'static str]> {
        Ok(if self.version().await?.major < 4 {
            &[]
        } else {
            &["--server-side=true", "--force-conflicts"]
        })
    }

    /// Reads a release. None when it does not exist.
    ///
    /// # Errors
    /// When helm fails.
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
        let text = match self.query(&["status", release, "-n", namespace, "-o", "json"]).await {
            Ok(text) => text,
            Err(error) if error.to_string().contains("release: not found") => return Ok(None),
            Err(error) => return Err(error),
        };
        // helm may print other lines before the document
        let json = text.find('{').map_or("", |start| &text[start..]);
        // the document contains values and manifests, which an error must not quote
        let document: Document = serde_json::from_str(json).map_err(|error| {
            anyhow!("`helm status {release}` printed invalid JSON (line {})", error.line())
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

    /// Whether this tool created the release.
    pub async fn is_ours(&self, release: &str, namespace: &str) -> Result<bool> {
        let found = self.status(release, namespace).await?;
        Ok(found.is_some_and(|release| release.made_by != MadeBy::Others))
    }

    async fn is_labelled(&self, release: &str, namespace: &str) -> Result<bool> {
        Ok(self
            .select(namespace, &["--selector", &object::of_a_stack()])
            .await?
            .iter()
            .any(|listed| listed.name == release))
    }

    /// All releases of a namespace, with any status.
    ///
    /// # Errors
    /// When helm fails.
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
        let text = self.query(&[&all, selection].concat()).await?;
        let json = text.find('[').map_or("[]", |start| &text[start..]);
        serde_json::from_str(json).context("`helm list` printed invalid JSON")
    }

    /// Renders the objects of the chart, without those of its hooks. Fails for values that the chart does not accept.
    ///
    /// # Errors
    /// When helm cannot render the chart with the values.
    pub async fn template(&self, install: &Install) -> Result<String> {
        self.run_with_chart(&["template"], install, &["--no-hooks"]).await
    }

    /// Installs or upgrades a release, without waiting for its objects. Returns the new revision, if helm prints it.
    ///
    /// # Errors
    /// When helm fails.
    pub async fn upgrade(&self, install: &Install) -> Result<Option<u64>> {
        let description =
            format!("kubectl-lastack {}, {DIGEST}{}", env!("CARGO_PKG_VERSION"), install.digest());
        let label = object::of_a_stack();
        let mut options =
            vec!["--history-max", "5", "--labels", &label, "--description", &description];
        if install.creates_namespace {
            options.push("--create-namespace");
        }
        options.extend(self.force_conflicts().await?);
        let printed = self.run_with_chart(&["upgrade", "--install"], install, &options).await?;
        Ok(revision_in(&printed))
    }

    /// Runs a verb that requires a release, its chart and the values. Returns its stdout.
    async fn run_with_chart(
        &self,
        verb: &[&str],
        install: &Install,
        options: &[&str],
    ) -> Result<String> {
        let scratch = tempfile::tempdir().context("cannot create a directory for helm's files")?;
        let chart = install.chart.arguments(scratch.path())?;
        let mut arguments = [verb, &[install.release]].concat();
        arguments.extend(chart.iter().map(String::as_str));
        arguments.extend(["-n", &install.namespace, "-f", "-"]);
        arguments.extend(options);
        self.change(&arguments, Some(install.values.to_string())).await
    }

    /// Rolls back to a revision, or to the previous revision.
    ///
    /// # Errors
    /// When helm fails.
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
        arguments.extend(self.force_conflicts().await?);
        self.change(&arguments, None).await.map(drop)
    }

    pub async fn uninstall(&self, release: &str, namespace: &str) -> Result<()> {
        self.change(&["uninstall", release, "-n", namespace, "--wait"], None).await.map(drop)
    }

    /// Runs a query and returns its stdout.
    async fn query(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command(arguments)?;
        // an abandoned helm process is killed
        command.kill_on_drop(true);
        run(command, arguments, None, QUERY).await
    }

    /// Runs a change and returns its stdout. When the user interrupts the command, helm completes the change.
    async fn change(&self, arguments: &[&str], stdin: Option<String>) -> Result<String> {
        let left = |deadline: Instant| {
            deadline.saturating_duration_since(Instant::now()).max(SHORTEST_CHANGE)
        };
        run(self.command(arguments)?, arguments, stdin, self.deadline.map_or(CHANGE, left)).await
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let Some(program) = &self.program else {
            return Err(Failure::failed("`helm` is not on PATH")
                .hint("install helm 3 or 4: https://helm.sh/docs/intro/install")
                .into());
        };
        let mut command = Command::new(program);
        // helm prefers a folder of the working directory to a chart with the same name
        command.args(&self.connection).args(arguments).current_dir(std::env::temp_dir());
        let line = self
            .connection
            .iter()
            .map(String::as_str)
            .chain(arguments.iter().copied())
            .collect::<Vec<_>>()
            .join(" ");
        tracing::info!("helm {line}");
        for (variable, _) in std::env::vars_os().filter(|(variable, _)| is_not_for_helm(variable)) {
            command.env_remove(variable);
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        Ok(command)
    }
}

/// A version of helm. A helm that was built without the scripts of its release prints two numbers only, such as `v4.2`.
fn parse_version(text: &str) -> Result<semver::Version, semver::Error> {
    let numbers = text.trim_start_matches('v');
    semver::Version::parse(numbers)
        .or_else(|error| semver::Version::parse(&format!("{numbers}.0")).map_err(|_| error))
}

/// Runs helm with a timeout and returns its stdout.
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
            // stderr tells why helm ended without reading its input
            let _ = pipe.write_all(text.as_bytes()).await;
        }
        Ok(())
    };
    let ended = async { tokio::try_join!(child.wait(), write, read(stdout), read(stderr)) };
    let Ok(ended) = tokio::time::timeout(limit, ended).await else {
        let _ = child.start_kill();
        return Err(Failure::new(Kind::TimedOut, format!("`helm {verb}` did not end within {}", took(limit)))
            .hint("check that helm reaches the cluster with `helm list`, then repeat the command to continue")
            .into());
    };
    let (status, (), stdout, stderr) = ended.context(failed)?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let message = format!("`helm {verb}` failed: {}", reason(&String::from_utf8_lossy(&stderr)));
    Err(match is_of_connection(&message) {
        true => unreachable(message).into(),
        false => anyhow!(message),
    })
}

/// Whether the API server was away, or cut the connection. helm has no exit code for this.
fn is_of_connection(message: &str) -> bool {
    let message = message.to_lowercase();
    let causes = [
        "cluster unreachable",
        "connection refused",
        "connection reset",
        "i/o timeout",
        "tls handshake timeout",
        "unexpected eof",
    ];
    causes.iter().any(|cause| message.contains(cause))
}

/// The revision in the output of `helm upgrade`.
fn revision_in(printed: &str) -> Option<u64> {
    printed.lines().find_map(|line| line.strip_prefix("REVISION: ")?.trim().parse().ok())
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// The absolute paths of a KUBECONFIG list.
fn absolute(list: &OsStr) -> Option<OsString> {
    let paths = std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty());
    let paths: Vec<PathBuf> =
        paths.map(|path| std::path::absolute(&path).unwrap_or(path)).collect();
    if paths.is_empty() { None } else { std::env::join_paths(paths).ok() }
}

fn digest_in(description: &str) -> Option<String> {
    description.split_once(DIGEST).map(|(_, digest)| digest.trim().to_string())
}

/// The error in helm's stderr, without its warnings.
fn reason(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let from =
        lines.iter().position(|line| line.starts_with("Error:") || line.starts_with("error:"));
    let error = from.map_or(lines.as_slice(), |from| &lines[from..]);
    if error.is_empty() {
        "no reason given".into()
    } else {
        error.join(" ").trim_start_matches("Error: ").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[tokio::test]
    async fn helm_that_hangs_is_killed_after_timeout() {
        let mut hangs = Command::new("sh");
        hangs.args(["-c", "exec sleep 600"]);
        let error =
            run(hangs, &["status", "lrs"], None, Duration::from_millis(200)).await.unwrap_err();
        assert!(error.to_string().starts_with("`helm status` did not end within "), "{error:#}");
        assert_eq!(crate::error::kind(&error), Kind::TimedOut);
    }

    #[test]
    fn version_of_helm_may_have_two_numbers() {
        let version = |text| parse_version(text).map(|version| version.to_string()).ok();
        assert_eq!(version("v3.19.2+g8766e71").as_deref(), Some("3.19.2+g8766e71"));
        assert_eq!(version("v4.2").as_deref(), Some("4.2.0"));
        assert_eq!(version("main"), None);
    }

    #[test]
    fn reason_skips_warnings_of_helm() {
        let stderr = "WARNING: Kubernetes configuration file is group-readable.\nError: INSTALLATION FAILED: cannot re-use a name\n";
        assert_eq!(reason(stderr), "INSTALLATION FAILED: cannot re-use a name");
        assert_eq!(reason("\n"), "no reason given");
    }
}
