//! The peer of `seed`: the command of the tutorial, with the real xargs, gunzip and curl.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// The programs that the command needs.
pub const TOOLS: [&str; 4] = ["bash", "xargs", "gunzip", "curl"];

pub struct Pipeline {
    line: String,
    /// The folder of the file with the account, which must not be an argument.
    _folder: TempDir,
}

impl Pipeline {
    /// Sends the files of statements in a directory to an xAPI endpoint.
    pub fn new(data: &Path, endpoint: &str, user: &str, password: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let account = folder.path().join("account");
        fs::write(&account, format!("user = \"{user}:{password}\"\n"))?;
        let curl = format!(
            "curl --silent --fail --output /dev/null --config {} --header \"X-Experience-API-Version: 1.0.3\" --header \"Content-Type: application/json\" \
             {endpoint}/statements -d @-",
            account.display()
        );
        let line = format!(
            "set -o pipefail; ls {}/statements* | xargs -P10 -I{{}} bash -c 'set -o pipefail; gunzip -c {{}} | {curl}'",
            data.display()
        );
        Ok(Self { line, _folder: folder })
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new("bash");
        command.args(["-c", &self.line]);
        command
    }

    /// The peak of the memory of all its processes, in bytes. Shared pages count once.
    pub fn peak_memory(&self) -> Result<u64> {
        let mut child =
            self.command().process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let mut peak = 0;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            peak = peak.max(memory_of_group(child.id())?);
            // the interval of the samples
            thread::sleep(Duration::from_millis(1));
        };
        ensure!(status.success(), "the pipeline exited with {status}");
        Ok(peak)
    }
}

/// The proportional share of memory of the processes in a group. A process that ends during the sample does not count.
fn memory_of_group(group: u32) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir("/proc").context("the benchmark needs /proc")? {
        let path = entry?.path();
        let Ok(stat) = fs::read_to_string(path.join("stat")) else { continue };
        // the fields after the name: state, parent, group
        let of_group = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(2))
            == Some(&group.to_string());
        if of_group && let Ok(rollup) = fs::read_to_string(path.join("smaps_rollup")) {
            let kib = rollup.lines().find_map(|line| {
                line.strip_prefix("Pss:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
            });
            sum += kib.unwrap_or_default() << 10;
        }
    }
    Ok(sum)
}

/// The first missing program of the pipeline.
pub fn missing_tool() -> Option<&'static str> {
    TOOLS.into_iter().find(|tool| which::which(tool).is_err())
}
