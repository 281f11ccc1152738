//! The command line: the verbs, a file each. `main` is the only place that picks an exit code.

mod arguments;
mod completion;
mod configure;
mod creds;
mod dashboards;
mod home;
mod install;
mod open;
mod progress;
mod replay;
mod seed;
mod statements;
mod status;
mod trace;
mod uninstall;
mod version;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};
use quick_junit::Report;

use crate::cluster::flags::KubeFlags;
use crate::engine::Id;
use crate::error::{self, Failure, Kind};
use crate::output::printer;
use crate::stack::{SETTINGS, Stack};

use arguments::{Cli, Command};

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Good,
    /// It worked, and what it looked at is not healthy.
    Fault,
}

/// Output of verbs that list things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TableOrJson {
    Table,
    Json,
}

pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // what follows is no command line yet, so it is not read as one
    if let [_, verb, words @ ..] = arguments.as_slice()
        && verb == "__complete"
    {
        let words: Vec<String> =
            words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let _ = printer::data(&completion::candidates::complete(Cli::command(), &words));
        return ExitCode::SUCCESS;
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Kind::Usage.exit_code() } else { 0 });
        }
    };
    match run(cli) {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Fault) => ExitCode::from(Kind::Fault.exit_code()),
        Err(error) => {
            printer::error(&error::render(&error));
            ExitCode::from(error::kind(&error).exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<Outcome> {
    let flags = cli.kube.with_helm_environment(|name| std::env::var(name).ok());
    match cli.command {
        Some(Command::Version(args)) => version::run(&args),
        Some(Command::Completion(args)) => completion::run(&args, Cli::command()),
        Some(Command::Install(args)) => block_on(install::run(&flags, args)),
        Some(Command::Status(args)) => block_on(status::run(&flags, args)),
        Some(Command::Creds(args)) => block_on(creds::run(&flags, args)),
        Some(Command::Seed(args)) => block_on(seed::run(&flags, args)),
        Some(Command::Statements(args)) => block_on(statements::run(&flags, args)),
        Some(Command::Trace(args)) => block_on_until(second_ctrl_c(), trace::run(&flags, args)),
        Some(Command::Replay(args)) => block_on(replay::run(&flags, args)),
        Some(Command::Open(args)) => block_on(open::run(&flags, args)),
        Some(Command::Configure(args)) => block_on(configure::run(&flags, args)),
        Some(Command::Dashboards(args)) => block_on(dashboards::run(&flags, args)),
        Some(Command::Uninstall(args)) => block_on(uninstall::run(&flags, args)),
        None => block_on(home::run(&flags)),
    }
}

/// Runs a command to its end or to Ctrl-C, whichever comes first.
fn block_on(command: impl Future<Output = Result<Outcome>>) -> Result<Outcome> {
    block_on_until(tokio::signal::ctrl_c(), command)
}

/// Of a command that takes back what it did when it hears the first.
async fn second_ctrl_c() -> io::Result<()> {
    tokio::signal::ctrl_c().await?;
    tokio::signal::ctrl_c().await
}

fn block_on_until(
    interrupt: impl Future<Output = io::Result<()>>,
    command: impl Future<Output = Result<Outcome>>,
) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            // first, so that the signal is caught before the command sends anything
            biased;
            _ = interrupt => {
                // the cursor stands behind what was drawn or asked last
                if printer::is_live() {
                    printer::note("");
                }
                Err(Failure::new(Kind::Interrupted, "interrupted")
                    .hint("nothing is undone; the same command goes on where this one stopped")
                    .into())
            }
            outcome = command => outcome,
        }
    });
    // a port-forward that is still draining must not keep a finished command
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

fn write_junit(file: &Path, report: &Report) -> Result<()> {
    let text = report.to_string().context("the JUnit report")?;
    std::fs::write(file, text).with_context(|| format!("file {}", file.display()))
}

/// The stack as it was last installed, for verbs that do not change what it is.
async fn open(flags: &KubeFlags) -> Result<Stack> {
    open_to_wait(flags, None).await
}

/// The same, with the time that its waits may take together.
async fn open_to_wait(flags: &KubeFlags, wait: Option<Duration>) -> Result<Stack> {
    let (stack, unknown) = Stack::as_it_is(flags.resolve().await?, wait).await?;
    if !unknown.is_empty() {
        let place = format!("ConfigMap {SETTINGS} of namespace {}", stack.namespace());
        printer::warning(&format!(
            "{place} has settings that this version of kubectl-lastack does not know: {}",
            unknown.join(", ")
        ));
    }
    Ok(stack)
}

fn ids(ids: &[Id]) -> String {
    ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ")
}
