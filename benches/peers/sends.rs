//! `seed` with a null LRS: the cost of reading, generating and sending statements alone.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use lastack::simulator::dataset::{DEFAULT_SEED, DataSet};
use lastack::simulator::{Generated, TERM_STATEMENTS};
use lastack::xapi::batch::{Batch, Source};

use super::measure::{self, Usage};
use super::pipeline::{Pipeline, missing_tool};
use super::sink::{Delivery, Sink};
use super::table::{Samples, Table};
use super::{Args, data, say};

const MEGABYTE: f64 = 1e6;
const PIPELINE: &str = "xargs, gunzip, curl";

pub fn measure(args: &Args, table: &mut Table) -> Result<()> {
    if let Some(tool) = missing_tool() {
        say(&format!("left out: sending, because {tool} of the tutorial's pipeline is missing"));
        return Ok(());
    }
    let sink = Sink::start()?;
    let folder = tempfile::tempdir()?;
    let account = folder.path().join("account");
    fs::write(&account, "admin:password\n")?;
    let pipeline = Pipeline::new(&data(), &sink.endpoint(), "admin", "password")?;
    let bytes = expected_bytes();
    let seed = || seed(args.program(), &sink, &account);
    let peer = || checked(&sink, TERM_STATEMENTS, bytes, &mut pipeline.command());
    let count_of = |count: u64| ["--count".to_string(), count.to_string()];

    let files = || checked(&sink, TERM_STATEMENTS, bytes, seed().arg(data()));
    let [ours, theirs] = measure::in_turns(args.rounds, files, peer)?;
    compare(
        table,
        "22 gzip files",
        (&ours, TERM_STATEMENTS),
        &theirs,
        ["at most 0.20", "at least 3"],
    );
    let small_files = peak(&ours);

    let made = || delivered(&sink, args.generated, seed().args(count_of(args.generated)));
    let [ours, theirs] = measure::in_turns(args.rounds, made, peer)?;
    compare(
        table,
        &format!("{} generated", lastack::output::units::count(args.generated)),
        (&ours, args.generated),
        &theirs,
        ["at most 0.125", "at least 3"],
    );

    let pipeline_memory = Samples::new([pipeline.peak_memory()? as f64 / MEGABYTE]);
    sink.take();
    table.compare(
        "22 gzip files, peak memory",
        "MB",
        &small_files,
        (PIPELINE, &pipeline_memory),
        "below 32 MB",
    );
    let small = (0..args.rounds)
        .map(|_| delivered(&sink, TERM_STATEMENTS, seed().args(count_of(TERM_STATEMENTS))))
        .collect::<Result<Vec<_>>>()?;
    table.alone("22,000 generated, peak memory", "MB", &peak(&small), "below 32 MB");
    let large = delivered(&sink, args.large, seed().args(count_of(args.large)))?;
    table.alone(
        &format!("{} generated, peak memory", lastack::output::units::count(args.large)),
        "MB",
        &peak(&[large]),
        "below 32 MB, the same",
    );

    let itself = std::env::current_exe()?;
    let runs = (0..args.rounds)
        .map(|_| measure::run(Command::new(&itself).args(["--make", &args.generated.to_string()])))
        .collect::<Result<Vec<_>>>()?;
    let rate =
        Samples::new(runs.iter().map(|usage| args.generated as f64 / usage.cpu.as_secs_f64()));
    table.alone("generator alone, one core", "statements/s", &rate, "at least 400,000");
    Ok(())
}

/// Generates statements and discards them.
pub fn make(count: u64) {
    let mut source = Generated::new(DataSet::new(DEFAULT_SEED, count), 1000);
    let mut batch = Batch::new();
    while source.fill(&mut batch).expect("the generator has no faults") {
        black_box(batch.body());
    }
}

fn seed(program: &Path, sink: &Sink, account: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["seed", "--endpoint", &sink.endpoint(), "--credentials"]).arg(account);
    command
}

/// Runs a command that must send all statements in requests of a thousand.
fn delivered(sink: &Sink, statements: u64, command: &mut Command) -> Result<Usage> {
    let (usage, _) = deliver(sink, statements, command)?;
    Ok(usage)
}

/// The same for a known number of bytes.
fn checked(sink: &Sink, statements: u64, bytes: u64, command: &mut Command) -> Result<Usage> {
    let (usage, delivery) = deliver(sink, statements, command)?;
    // curl removes line ends
    ensure!(
        delivery.bytes.abs_diff(bytes) <= bytes / 100,
        "the command sent {} bytes, not {bytes}",
        delivery.bytes
    );
    Ok(usage)
}

fn deliver(sink: &Sink, statements: u64, command: &mut Command) -> Result<(Usage, Delivery)> {
    let usage = measure::run(command)?;
    let delivery = sink.take();
    ensure!(
        delivery.requests == statements.div_ceil(1000),
        "the command sent {} requests, not {}",
        delivery.requests,
        statements.div_ceil(1000)
    );
    Ok((usage, delivery))
}

/// The bytes of the statements in the files, which have the default seed of the generator.
fn expected_bytes() -> u64 {
    let mut source = Generated::new(DataSet::new(DEFAULT_SEED, TERM_STATEMENTS), 1000);
    let (mut batch, mut bytes) = (Batch::new(), 0);
    while source.fill(&mut batch).expect("the generator has no faults") {
        bytes += batch.body().len() as u64;
    }
    bytes
}

fn compare(
    table: &mut Table,
    what: &str,
    ours: (&[Usage], u64),
    peer: &[Usage],
    targets: [&str; 2],
) {
    let cpu = |runs: &[Usage], count: u64| {
        Samples::new(runs.iter().map(|usage| usage.cpu.as_secs_f64() * 1e6 / count as f64))
    };
    let rate = |runs: &[Usage], count: u64| {
        Samples::new(runs.iter().map(|usage| count as f64 / usage.wall.as_secs_f64()))
    };
    let (runs, count) = ours;
    table.compare(
        &format!("{what}, CPU per statement"),
        "µs",
        &cpu(runs, count),
        (PIPELINE, &cpu(peer, TERM_STATEMENTS)),
        targets[0],
    );
    table.compare(
        &format!("{what}, statements per second"),
        "/s",
        &rate(runs, count),
        (PIPELINE, &rate(peer, TERM_STATEMENTS)),
        targets[1],
    );
}

fn peak(runs: &[Usage]) -> Samples {
    Samples::new(runs.iter().map(|usage| usage.peak as f64 / MEGABYTE))
}
