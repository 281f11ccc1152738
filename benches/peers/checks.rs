//! The time of `check` and `report` on a stack of all components.

use std::fs;

use anyhow::Result;

use super::cluster::{Stack, wall, with_stack};
use super::measure::{self, Usage};
use super::table::{Samples, Table};
use super::{Args, say};

/// What an administrator asks kubectl to see whether a stack works.
const CALLS: [&[&str]; 10] = [
    &["get", "nodes"],
    &["get", "pods"],
    &["get", "deployments,statefulsets"],
    &["get", "services,endpointslices"],
    &["get", "jobs,cronjobs"],
    &["get", "persistentvolumeclaims"],
    &["get", "secrets,configmaps"],
    &["get", "networkpolicies"],
    &["get", "elasticsearch", "data-lake"],
    &["get", "events"],
];

pub fn measure(args: &Args, table: &mut Table) -> Result<()> {
    let Some(context) = &args.context else {
        say("left out: check and report, because --context is missing");
        return Ok(());
    };
    with_stack(args, context, ("`install` of all components", &[]), table, |stack, table| {
        checks(args, stack, table)?;
        reports(args, stack, table)
    })
}

fn checks(args: &Args, stack: &Stack, table: &mut Table) -> Result<()> {
    let ten = || {
        let runs = CALLS.iter().map(|call| measure::run(&mut stack.kubectl(call)));
        Ok(Usage::sum(&runs.collect::<Result<Vec<_>>>()?))
    };
    let check = || measure::run(&mut stack.lastack(&["check"]));
    let [ours, theirs] = measure::in_turns(args.rounds, check, ten)?;
    let peer = ("ten kubectl calls", &wall(&theirs));
    table.compare("`check`", "s", &wall(&ours), peer, "below 1, and below 3 s");
    Ok(())
}

fn reports(args: &Args, stack: &Stack, table: &mut Table) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("report.zip");
    let mut times = Vec::new();
    for _ in 0..args.rounds {
        let path = file.display().to_string();
        times.push(measure::run(&mut stack.lastack(&["report", &path]))?.wall.as_secs_f64());
        fs::remove_file(&file)?;
    }
    table.alone("`report`", "s", &Samples::new(times), "below 30 s");
    Ok(())
}
