//! What a backup and a restore do to a running Moodle: hold the delivery of events, maintenance, another address, a restart.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::task::JoinHandle;

use crate::cluster::exec::{self, Ended};
use crate::cluster::log;
use crate::error::Failure;
use crate::stack::Stack;

use super::PODS;
use super::client::{Moodle, command};

/// How long to wait for a task that is sending events.
const HOLD_SECONDS: u64 = 60;
/// The size of the streams to the script, in bytes.
const BUFFER: usize = 4 << 10;

/// A running script that holds the delivery of events.
pub struct Held {
    /// The script ends with its standard input.
    input: DuplexStream,
    ended: JoinHandle<Result<Ended>>,
}

impl Held {
    /// Lets Moodle deliver events again.
    pub async fn release(self) {
        drop(self.input);
        // its connection ends in any case
        let _ = self.ended.await;
    }
}

impl Moodle {
    /// Holds the delivery of events. None: a task is sending events for too long.
    ///
    /// # Errors
    /// When the script fails.
    pub async fn hold(&self) -> Result<Option<Held>> {
        #[derive(Deserialize)]
        struct Response {
            held: bool,
        }
        let (mut input, stdin) = tokio::io::duplex(BUFFER);
        let (output, mut stdout) = tokio::io::duplex(BUFFER);
        let container = self.container.clone();
        let ended = tokio::spawn(async move {
            let command = command("hold");
            let words: Vec<&str> = command.split(' ').collect();
            exec::stream(&container, &words, stdin, &mut stdout).await
        });
        input.write_all(format!("{}\n", json!({"seconds": HOLD_SECONDS})).as_bytes()).await?;
        let mut lines = BufReader::new(output).lines();
        while let Some(line) = lines.next_line().await? {
            // Moodle may print notices before it
            if let Ok(Response { held }) = serde_json::from_str(&line) {
                let script = Held { input, ended };
                if held {
                    return Ok(Some(script));
                }
                script.release().await;
                return Ok(None);
            }
        }
        let Ended { code, stderr } = ended.await??;
        let why = log::cause(&stderr).unwrap_or_else(|| format!("exit code {code}"));
        Err(Failure::failed(format!("script hold.php of Moodle failed: {why}")).into())
    }

    /// Stops pages and tasks, also after a restart of the Pod.
    ///
    /// # Errors
    /// When Moodle's script fails.
    pub async fn begin_maintenance(&self) -> Result<()> {
        self.moodle("php admin/cli/maintenance.php --enable", &[]).await
    }

    /// Whether pages and tasks are stopped.
    ///
    /// # Errors
    /// When the command cannot be run.
    pub async fn is_in_maintenance(&self) -> Result<bool> {
        let command = ["test", "-e", "/var/www/moodledata/climaintenance.html"];
        Ok(exec::run(&self.container, &command, b"").await?.code == 0)
    }

    /// Serves pages and runs tasks again.
    ///
    /// # Errors
    /// When Moodle's script fails.
    pub async fn end_maintenance(&self) -> Result<()> {
        self.moodle("php admin/cli/maintenance.php --disable", &[]).await
    }

    /// Replaces the address of the site in all texts.
    ///
    /// # Errors
    /// When Moodle's script fails.
    pub async fn replace_address(&self, old: &str, new: &str) -> Result<()> {
        let (search, replace) = (format!("--search={old}"), format!("--replace={new}"));
        self.moodle(REPLACE, &[&search, &replace]).await
    }

    /// Compares each stored file with its name, which is the SHA-1 of its content. Returns their number.
    ///
    /// # Errors
    /// When a file differs or cannot be read.
    pub async fn verify_files(&self, folder: &str) -> Result<u64> {
        let command = ["sh", "-c", VERIFY, folder];
        let output = exec::run(&self.container, &command, b"").await?;
        let mut lines = output.stdout.lines().rev();
        let verified = lines.next().and_then(|line| line.parse().ok());
        match (output.code, verified, lines.next_back()) {
            (0, Some(verified), None) => Ok(verified),
            (0, Some(_), Some(first)) => Err(Failure::failed(format!(
                "{folder}: the content of {first} differs from its name"
            ))
            .hint("the file was damaged in Moodle before the backup, or on the way")
            .into()),
            (code, ..) => {
                let why = log::cause(&output.stderr);
                let why = why.unwrap_or_else(|| format!("exit code {code}"));
                Err(Failure::failed(format!("{folder}: cannot read the files: {why}")).into())
            }
        }
    }

    /// Runs a command in Moodle's directory. `arguments` are those of the shell, from `$0`.
    async fn moodle(&self, script: &str, arguments: &[&str]) -> Result<()> {
        let script = format!("cd /var/www/html && exec {script}");
        let command = [&["sh", "-c", &script], arguments].concat();
        let output = exec::run(&self.container, &command, b"").await?;
        if output.code == 0 {
            return Ok(());
        }
        let why = log::cause(&output.stdout).or_else(|| log::cause(&output.stderr));
        let why = why.unwrap_or_else(|| format!("exit code {}", output.code));
        Err(Failure::failed(format!("`{script}` in pod {}: {why}", self.container.pod)).into())
    }
}

/// Prints the files whose content differs from their names, and the number of all.
const VERIFY: &str = r#"cd "$0" && if [ -d filedir ]; then
  find filedir -type f ! -name warning.txt ! -name '*.tmp' -exec sha1sum {} + |
    awk '{ name = $2; sub(/^.*\//, "", name); if ($1 != name) print $2 } END { print NR }'
else
  echo 0
fi"#;

/// Since Moodle 5.1, its tools are below `public`.
const REPLACE: &str = r#"php -d max_input_vars=10000 "$([ -d public/admin/tool ] && echo public/)admin/tool/replace/cli/replace.php" "$0" "$1" --shorten --non-interactive"#;

/// Ends the maintenance of an exchange that was interrupted, so that the Pod can become ready. The next exchange repeats all
/// of it.
///
/// # Errors
/// When Moodle's scripts fail.
pub async fn recover(stack: &Stack) -> Result<()> {
    // without a Pod, or during its own upgrade, there is nothing to end
    let Ok(moodle) = super::client(stack).await else { return Ok(()) };
    if moodle.is_in_maintenance().await? && super::connect(stack).await.is_ok() {
        moodle.end_maintenance().await?;
    }
    Ok(())
}

/// Replaces the Pods of Moodle. The new ones upgrade the database if it has an older version.
///
/// # Errors
/// When the Pods cannot be deleted.
pub async fn restart(stack: &Stack) -> Result<()> {
    let selection = ListParams::default().labels(PODS);
    let pods = stack.api::<Pod>();
    pods.delete_collection(&DeleteParams::default(), &selection)
        .await
        .context("the pods of Moodle")?;
    Ok(())
}
