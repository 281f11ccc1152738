//! A stack of its own in a real cluster, and what `seed` and `status` take there.

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

/// Statements of each measured run, none of which the LRS has yet.
const STATEMENTS: u64 = 22_000;

pub fn measure(args: &Args, table: &mut Table) -> Result<()> {
    let Some(context) = &args.context else {
        say("left out: seed and status in a cluster, as no --context names one");
        return Ok(());
    };
    if let Some(tool) = missing_tool() {
        say(&format!(
            "left out: seed and status in a cluster, as {tool} of the tutorial's pipeline is not there"
        ));
        return Ok(());
    }
    with_stack(
        args,
        context,
        ("`install --only lrs`", &["--only", "lrs"]),
        table,
        |place, table| {
            seeds(args, place, table)?;
            statuses(args, place, table)
        },
    )
}

/// Installs a stack, measures, and removes it whatever came of that.
pub fn with_stack(
    args: &Args,
    context: &str,
    (what, how): (&str, &[&str]),
    table: &mut Table,
    measure: impl FnOnce(&Place, &mut Table) -> Result<()>,
) -> Result<()> {
    let place = Place {
        program: args.program(),
        context,
        namespace: &args.namespace,
        kubectl: &args.kubectl,
    };
    if place.has_stack()? {
        bail!(
            "namespace {} of context {context} has a stack, which stays as it is; --namespace names another one",
            args.namespace
        );
    }
    let measured = place.install(what, how, table).and_then(|()| measure(&place, table));
    let removed = measure::run(place.lastack(&["uninstall"]).arg("--yes"));
    measured?;
    removed.map(drop).context("the stack of the measurement could not be removed")
}

pub struct Place<'a> {
    program: &'a Path,
    context: &'a str,
    namespace: &'a str,
    kubectl: &'a Path,
}

impl Place<'_> {
    pub fn lastack(&self, arguments: &[&str]) -> Command {
        self.at(self.program, arguments)
    }

    fn kubectl(&self, arguments: &[&str]) -> Command {
        self.at(self.kubectl, arguments)
    }

    fn at(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(["--context", self.context, "--namespace", self.namespace]).args(arguments);
        command
    }

    fn has_stack(&self) -> Result<bool> {
        // status ends with 3 where there is no stack
        let answer = self.lastack(&["status", "-o", "json"]).output()?;
        let status: Value = serde_json::from_slice(&answer.stdout)
            .with_context(|| String::from_utf8_lossy(&answer.stderr).into_owned())?;
        Ok(status["installed"].as_bool().unwrap_or(true))
    }

    /// Compares the time with that of the longest chain of steps, which no order of steps can beat.
    fn install(&self, what: &str, how: &[&str], table: &mut Table) -> Result<()> {
        say(&format!("installing into namespace {} of context {}", self.namespace, self.context));
        let begun = Instant::now();
        let ended = self.lastack(&["install", "--expose", "loadbalancer"]).args(how).output()?;
        let took = begun.elapsed();
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.success(), "install ended with {}: {said}", ended.status);
        let chain = said.rsplit_once("longest chain ").and_then(|(_, rest)| rest.split_once(')'));
        let (chain, _) = chain.context("install does not tell its longest chain")?;
        let chain = lastack::output::units::duration(chain).map_err(anyhow::Error::msg)?;
        let once = |time: Duration| Samples::new([time.as_secs_f64()]);
        table.compare(
            what,
            "s",
            &once(took),
            ("its longest chain of steps", &once(chain)),
            "at most 1.05",
        );
        Ok(())
    }

    /// Where the LRS is reached from here, and as whom.
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
                .with_context(|| format!("creds gave no {key}"))
        };
        Ok((format!("http://{host}/xAPI"), text("user")?, text("password")?))
    }
}

/// Both send files that nobody has sent before: each run gets statements of its own.
fn seeds(args: &Args, place: &Place, table: &mut Table) -> Result<()> {
    let (endpoint, user, password) = place.lrs()?;
    let folder = tempfile::tempdir()?;
    let seed = Cell::new(1000);
    let next = || -> Result<PathBuf> {
        seed.set(seed.get() + 1);
        let seed = seed.get().to_string();
        let data = folder.path().join(&seed);
        output(Command::new(place.program).args(["seed", "--write"]).arg(&data).args([
            "--seed",
            &seed,
            "--count",
            &STATEMENTS.to_string(),
        ]))?;
        fs::remove_file(data.join("answers.json"))?;
        Ok(data)
    };
    let ours = || measure::run(place.lastack(&["seed"]).arg(next()?));
    let peer =
        || measure::run(&mut Pipeline::new(&next()?, &endpoint, &user, &password)?.command());
    let [ours, theirs] = measure::in_turns(args.rounds, ours, peer)?;
    let name = "xargs, gunzip, curl, without proof";
    table.compare(
        "22 gzip files to Ralph, with proof",
        "s",
        &wall(&ours),
        (name, &wall(&theirs)),
        "at most 1",
    );
    Ok(())
}

/// What a person would ask one after the other to know as much.
fn statuses(args: &Args, place: &Place, table: &mut Table) -> Result<()> {
    let heartbeat =
        format!("/api/v1/namespaces/{}/services/lrs-ralph:80/proxy/__heartbeat__", place.namespace);
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
            .map(|call| measure::run(&mut place.kubectl(call)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Usage {
            wall: runs.iter().map(|run| run.wall).sum(),
            cpu: runs.iter().map(|run| run.cpu).sum(),
            peak: 0,
        })
    };
    let [ours, theirs] =
        measure::in_turns(args.rounds, || measure::run(&mut place.lastack(&["status"])), five)?;
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

fn wall(runs: &[Usage]) -> Samples {
    Samples::new(runs.iter().map(|run| run.wall.as_secs_f64()))
}
