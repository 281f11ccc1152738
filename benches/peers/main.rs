//! Compares `kubectl lastack` with the tools that users have without it, in the same run, and prints the ratios as a
//! Markdown table. docs/contributing/benchmarks.md explains the rows and how to repeat them.
//!
//! `cargo bench --bench peers -- [--context NAME] [--rounds N] ...`
//!
//! No time passes or fails the run. A row without its peer is left out with a message. Only a peer that fails ends the
//! run.

mod backup;
mod checks;
mod cluster;
mod dashboards;
mod measure;
mod pipeline;
mod queue;
mod sends;
mod sink;
mod startup;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use table::Table;

#[derive(Parser)]
struct Args {
    /// Number of measurements of each row, in turns with its peer
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Statements of the rows for generated statements
    #[arg(long, default_value_t = 2_000_000)]
    generated: u64,
    /// Statements of the row for memory, sent once
    #[arg(long, default_value_t = 10_000_000)]
    large: u64,
    /// The program under test; by default the bench builds it with the published profile
    #[arg(long)]
    program: Option<PathBuf>,
    /// kubectl to compare with
    #[arg(long, default_value = "kubectl")]
    kubectl: PathBuf,
    /// helm to compare with
    #[arg(long, default_value = "helm")]
    helm: PathBuf,
    /// Context of the cluster to install into; without it the rows for a cluster are left out
    #[arg(long)]
    context: Option<String>,
    /// Namespace to install into; it must not have a stack, and has none afterwards
    #[arg(long, default_value = "bench")]
    namespace: String,
    /// Statements behind the dashboards, and in backups
    #[arg(long, default_value_t = 22_000)]
    statements: u64,
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["sends", "startup", "cluster", "checks", "dashboards", "backup", "queue"])]
    only: Vec<Part>,
    /// `cargo bench` passes this flag
    #[arg(long, hide = true)]
    bench: bool,
    /// Generates this many statements and exits: the bench runs itself to measure the generator alone
    #[arg(long, hide = true)]
    make: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Sends,
    Startup,
    Cluster,
    Checks,
    Dashboards,
    Backup,
    Queue,
}

fn main() -> Result<()> {
    let mut args = Args::parse();
    if let Some(count) = args.make {
        sends::make(count);
        return Ok(());
    }
    if args.program.is_none() {
        args.program = Some(published()?);
    }
    println!("{}\n", table::machine());
    let mut table = Table::new();
    let measured = measure_all(&args, &mut table);
    // an error in the last row must not lose the other rows
    println!("{table}");
    measured
}

fn measure_all(args: &Args, table: &mut Table) -> Result<()> {
    if args.only.contains(&Part::Sends) {
        sends::measure(args, table)?;
    }
    if args.only.contains(&Part::Startup) {
        startup::measure(args, table)?;
    }
    if args.only.contains(&Part::Cluster) {
        cluster::measure(args, table)?;
    }
    if args.only.contains(&Part::Checks) {
        checks::measure(args, table)?;
    }
    if args.only.contains(&Part::Dashboards) {
        dashboards::measure(args, table)?;
    }
    if args.only.contains(&Part::Backup) {
        backup::measure(args, table)?;
    }
    if args.only.contains(&Part::Queue) {
        queue::measure(args, table)?;
    }
    Ok(())
}

impl Args {
    fn program(&self) -> &Path {
        self.program.as_deref().expect("main sets the program")
    }
}

/// The program in the profile `dist`, which users download. `cargo bench` itself builds the profile `bench`, for which
/// cargo ignores `panic`.
fn published() -> Result<PathBuf> {
    say("building the program with profile dist");
    let built = Path::new(env!("CARGO_BIN_EXE_kubectl-lastack"));
    let name = built.file_name().context("a program has a name")?;
    let target = built.ancestors().nth(2).context("a program has a target directory")?;
    let status = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--quiet", "--profile", "dist", "--bin", "kubectl-lastack"])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "cargo build --profile dist exited with {status}");
    Ok(target.join("dist").join(name))
}

/// The example data set of the repository.
fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

fn say(line: &str) {
    eprintln!("{line}");
}
