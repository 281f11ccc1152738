//! A separate stack in a real cluster, and the time and CPU of `seed` and `status` there.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::measure::{self, Usage, output};
use super::pipeline::{Pipeline, missing_tool};
use super::table::{Samples, Table};
use super::{Args, say};

/// New statements in each measured run.
const STATEMENTS: u64 = 22_000;

pub fn measure(args: &Args, table: &mut Table) -> Result<()> {
    let Some(context) = &args.context else {
        say("left out: seed and status in a cluster, because --context is missing");
        return Ok(());
    };
    if let Some(tool) = missing_tool() {
        say(&format!(
            "left out: seed and status in a cluster, because {tool} of the tutorial's pipeline is missing"
        ));
        return Ok(());
    }
    with_stack(
        args,
        context,
        ("`install --only lrs`", &["--only", "lrs"]),
        table,
        |stack, table| {
            seeds(args, stack, table)?;
            statuses(args, stack, table)
        },
    )
}

/// Installs a stack, measures, and uninstalls the stack, also after an error.
pub fn with_stack(
    args: &Args,
    context: &str,
    (what, how): (&str, &[&str]),
    table: &mut Table,
    measure: impl FnOnce(&Stack, &mut Table) -> Result<()>,
) -> Result<()> {
    let stack = Stack {
        program: args.program(),
        context,
        namespace: &args.namespace,
        kubectl: &args.kubectl,
    };
    if stack.has_stack()? {
        bail!(
            "namespace {} of context {context} already has a stack; name another namespace with --namespace",
            args.namespace
        );
    }
    let measured = stack.install(what, how, table).and_then(|()| measure(&stack, table));
    let removed = measure::run(stack.lastack(&["uninstall"]).arg("--yes"));
    measured?;
    removed.map(drop).context("cannot uninstall the stack of the benchmark")
}

pub struct Stack<'a> {
    program: &'a Path,
    context: &'a str,
    namespace: &'a str,
    kubectl: &'a Path,
}

impl Stack<'_> {
    pub fn lastack(&self, arguments: &[&str]) -> Command {
        self.at(self.program, arguments)
    }

    pub fn kubectl(&self, arguments: &[&str]) -> Command {
        self.at(self.kubectl, arguments)
    }

    /// A script in bash, in which the array `kubectl` is the beginning of a command.
    pub fn shell(&self, script: &str) -> Command {
        let kubectl = self.kubectl.display();
        let (context, namespace) = (self.context, self.namespace);
        let begin =
            format!("kubectl=({kubectl} --context '{context}' --namespace '{namespace}')\n");
        let mut command = Command::new("bash");
        command.args(["-c", &(begin + script)]);
        command
    }

    fn at(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(["--context", self.context, "--namespace", self.namespace]).args(arguments);
        command
    }

    fn has_stack(&self) -> Result<bool> {
        // status exits with 3 without a stack
        let answer = self.lastack(&["status", "-o", "json"]).output()?;
        let status: Value = serde_json::from_slice(&answer.stdout)
            .with_context(|| String::from_utf8_lossy(&answer.stderr).into_owned())?;
        Ok(status["installed"].as_bool().unwrap_or(true))
    }

    /// Compares the time with the longest chain of nodes, the minimum for any order.
    fn install(&self, what: &str, how: &[&str], table: &mut Table) -> Result<()> {
        say(&format!("installing into namespace {} of context {}", self.namespace, self.context));
        let begun = Instant::now();
        let ended = self.lastack(&["install", "--expose", "loadbalancer"]).args(how).output()?;
        let took = begun.elapsed();
        let stderr = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.success(), "install exited with {}: {stderr}", ended.status);
        let chain = stderr.rsplit_once("longest chain ").and_then(|(_, rest)| rest.split_once(')'));
        let (chain, _) = chain.context("install did not print its longest chain")?;
        let chain = lastack::output::units::duration(chain).map_err(anyhow::Error::msg)?;
        let once = |time: Duration| Samples::new([time.as_secs_f64()]);
        table.compare(
            what,
            "s",
            &once(took),
            ("its longest chain of nodes", &once(chain)),
            "at most 1.05",
        );
        Ok(())
    }

    /// The external address of the LRS, its user and its password.
    fn lrs(&self) -> Result<(String, String, String)> {
        let address = output(&mut self.kubectl(&[
            "get",
            "service",
            "lrs-ralph",
            "-o",
            "jsonpath={.status.loadBalancer.ingress[0]}",
        ]))?;
        let address: Value =
            serde_json::from_str(&address).context("the LRS has no address outside the cluster")?;
        let host = address["ip"]
            .as_str()
            .or_else(|| address["hostname"].as_str())
            .context("the LRS has no address outside the cluster")?;
        let accounts: Value =
            serde_json::from_str(&output(&mut self.lastack(&["creds", "lrs", "-o", "json"]))?)?;
        let text = |key: &str| {
            accounts["items"][0][key]
                .as_str()
                .map(str::to_string)
                .with_context(|| format!("creds did not print {key}"))
        };
        Ok((format!("http://{host}/xAPI"), text("user")?, text("password")?))
    }
}

/// Measures `seed` and the pipeline. Each run sends new statements from files.
fn seeds(args: &Args, stack: &Stack, table: &mut Table) -> Result<()> {
    let (endpoint, user, password) = stack.lrs()?;
    let folder = tempfile::tempdir()?;
    let seed = Cell::new(1000);
    let next = || -> Result<PathBuf> {
        seed.set(seed.get() + 1);
        let seed = seed.get().to_string();
        let data = folder.path().join(&seed);
        output(Command::new(stack.program).args(["seed", "--write"]).arg(&data).args([
            "--seed",
            &seed,
            "--count",
            &STATEMENTS.to_string(),
        ]))?;
        fs::remove_file(data.join("expected-results.json"))?;
        Ok(data)
    };
    let ours = || measure::run(stack.lastack(&["seed"]).arg(next()?));
    let peer =
        || measure::run(&mut Pipeline::new(&next()?, &endpoint, &user, &password)?.command());
    let [ours, theirs] = measure::in_turns(args.rounds, ours, peer)?;
    let name = "xargs, gunzip, curl, without verification";
    table.compare(
        "22 gzip files to Ralph, with verification",
        "s",
        &wall(&ours),
        (name, &wall(&theirs)),
        "at most 1",
    );
    Ok(())
}

/// Measures `status` and five calls of kubectl that show similar facts.
fn statuses(args: &Args, stack: &Stack, table: &mut Table) -> Result<()> {
    let heartbeat =
        format!("/api/v1/namespaces/{}/services/lrs-ralph:80/proxy/__heartbeat__", stack.namespace);
    let calls: [&[&str]; 5] = [
        &["get", "pods"],
        &["get", "deployments"],
        &["get", "services"],
        &["get", "elasticsearch", "data-lake"],
        &["get", "--raw", &heartbeat],
    ];
    let five = || {
        let runs = calls
            .iter()
            .map(|call| measure::run(&mut stack.kubectl(call)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Usage::sum(&runs))
    };
    let [ours, theirs] =
        measure::in_turns(args.rounds, || measure::run(&mut stack.lastack(&["status"])), five)?;
    table.compare("`status`", "s", &wall(&ours), ("five kubectl calls", &wall(&theirs)), "below 1");
    let cpu = |runs: &[Usage]| Samples::new(runs.iter().map(|run| run.cpu.as_secs_f64() * 1e3));
    table.compare(
        "`status`, CPU",
        "ms",
        &cpu(&ours),
        ("five kubectl calls", &cpu(&theirs)),
        "below 1",
    );
    Ok(())
}

pub fn wall(runs: &[Usage]) -> Samples {
    Samples::new(runs.iter().map(|run| run.wall.as_secs_f64()))
}
