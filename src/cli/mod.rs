//! The command line: one file per verb. `main` is the only function that chooses an exit code.

/// The end of a verb's `--help`: its examples, its exit codes as `docs/reference/exit-codes.md` defines them, and the fields
/// of its JSON documents.
macro_rules! after_help {
    (offline $examples:literal $(, json: $($kind:literal)+)?) => {
        after_help!(@text $examples, ("  0  success\n  1  failure\n  2  invalid argument or file"), ($($($kind)+)?))
    };
    ($examples:literal $(, json: $($kind:literal)+)?) => {
        after_help!(@online $examples, "", "", ($($($kind)+)?))
    };
    ($examples:literal, timeout $(, json: $($kind:literal)+)?) => {
        after_help!(@online $examples, "", "  124  timeout\n", ($($($kind)+)?))
    };
    ($examples:literal, fault: $fault:literal $(, json: $($kind:literal)+)?) => {
        after_help!(@online $examples, concat!("  3    ", $fault, "\n"), "", ($($($kind)+)?))
    };
    ($examples:literal, fault: $fault:literal, timeout $(, json: $($kind:literal)+)?) => {
        after_help!(@online $examples, concat!("  3    ", $fault, "\n"), "  124  timeout\n", ($($($kind)+)?))
    };
    (@online $examples:literal, $fault:expr, $timeout:literal, $kinds:tt) => {
        after_help!(@text $examples, (
            "  0    success\n  1    failure\n  2    invalid argument or file\n",
            $fault,
            "  4    cluster unreachable, or permission denied\n",
            $timeout,
            "  130  interrupted"
        ), $kinds)
    };
    (@text $examples:literal, ($($codes:expr),+), ($($kind:literal)*)) => {
        concat!(
            "Examples:\n",
            $examples,
            "\n\nExit codes:\n",
            $($codes,)+
            $(
                "\n\nJSON fields of ",
                $kind,
                ":\n",
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/fields/", $kind, ".txt")),
            )*
        )
    };
}

mod arguments;
mod backfill;
mod backup;
mod check;
mod completion;
mod configure;
mod confirmation;
mod coverage;
mod creds;
mod dashboards;
mod diff;
mod home;
mod install;
mod journal;
mod lock;
mod logs;
mod open;
mod pause;
mod plan;
mod progress;
mod rbac;
mod reconcile;
mod replay;
mod report;
mod restore;
mod resume;
mod rollback;
#[cfg(test)]
mod schemas;
mod seed;
mod sources;
mod stack_args;
mod statements;
mod status;
mod trace;
mod uninstall;
mod upgrade;
mod verification;
mod version;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{CommandFactory, Parser};

use crate::cluster::access::{Rule, Rules};
use crate::cluster::flags::KubeFlags;
use crate::cluster::{Cluster, lease};
use crate::components::conditions;
use crate::engine::Id;
use crate::error::{self, Failure, Kind};
use crate::interrupt;
use crate::output::printer;
use crate::output::table::Table;
use crate::stack::{SETTINGS, Stack, mark};

use arguments::{Cli, Command};

/// The result of a command that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Good,
    /// The command succeeded and found a problem.
    Fault,
    /// The user ended a command that runs until then.
    Interrupted,
}

/// Output formats of verbs that print a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TableOrJson {
    Table,
    Json,
}

/// How verbs print a list as a table.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct TableArgs {
    /// Print the table without its header
    #[arg(long)]
    no_headers: bool,
}

impl TableArgs {
    fn of(self, table: Table) -> Table {
        if self.no_headers { table.without_header() } else { table }
    }
}

/// Output formats of verbs that print text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TextOrJson {
    Text,
    Json,
}

/// The command line of the program.
pub fn command() -> clap::Command {
    Cli::command()
}

pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // the words after `__complete` are an unfinished command line, which clap would reject
    if let [_, verb, words @ ..] = arguments.as_slice()
        && verb == "__complete"
    {
        let words: Vec<String> =
            words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let _ = printer::data(&completion::candidates::complete(Cli::command(), &words));
        return ExitCode::SUCCESS;
    }
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            arguments::set_typed_colour(&arguments);
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Kind::Usage.exit_code() } else { 0 });
        }
    };
    match run(cli) {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Fault) => ExitCode::from(Kind::Fault.exit_code()),
        Ok(Outcome::Interrupted) => ExitCode::from(Kind::Interrupted.exit_code()),
        Err(error) => {
            printer::error(&error::render(&error));
            ExitCode::from(error::kind(&error).exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<Outcome> {
    let variable = |name: &str| std::env::var(name).ok();
    let flags = cli.kube.with_helm_environment(variable);
    let output = cli.output.with_helm_environment(variable);
    output.apply();
    match cli.command {
        Some(Command::Version(args)) => version::run(&args),
        Some(Command::Completion(args)) => completion::run(&args, Cli::command()),
        Some(Command::Rbac(args)) => rbac::run(&flags, &args),
        Some(Command::Install(args)) => block_on(install::run(&flags, args)),
        Some(Command::Status(args)) if args.is_endless() => {
            block_on_endless(status::run(&flags, args))
        }
        Some(Command::Status(args)) => block_on(status::run(&flags, args)),
        Some(Command::Check(args)) => block_on(check::run(&flags, args, output.is_verbose())),
        Some(Command::Diff(args)) => block_on(diff::run(&flags, &args)),
        Some(Command::Logs(args)) if args.is_endless() => block_on_endless(logs::run(&flags, args)),
        Some(Command::Logs(args)) => block_on(logs::run(&flags, args)),
        Some(Command::Report(args)) => block_on(report::run(&flags, &args)),
        Some(Command::Creds(args)) => block_on(creds::run(&flags, args)),
        Some(Command::Seed(args)) => block_on(seed::run(&flags, args)),
        Some(Command::Sources(args)) => block_on(sources::run(&flags, args)),
        Some(Command::Statements(args)) => block_on(statements::run(&flags, args)),
        Some(Command::Trace(args)) => block_on_until(second_interrupt(), trace::run(&flags, args)),
        Some(Command::Replay(args)) => block_on(replay::run(&flags, args)),
        Some(Command::Backfill(args)) => block_on(backfill::run(&flags, args)),
        Some(Command::Reconcile(args)) => block_on(reconcile::run(&flags, args)),
        Some(Command::Coverage(args)) => block_on(coverage::run(&flags, args)),
        Some(Command::Open(args)) => block_on_endless(open::run(&flags, args)),
        Some(Command::Configure(args)) => block_on(configure::run(&flags, args)),
        Some(Command::Dashboards(args)) => block_on(dashboards::run(&flags, args)),
        Some(Command::Pause(args)) => block_on(pause::run(&flags, args)),
        Some(Command::Resume(args)) => block_on(resume::run(&flags, args)),
        Some(Command::Backup(args)) => block_on(backup::run(&flags, args)),
        Some(Command::Restore(args)) => block_on(restore::run(&flags, args)),
        Some(Command::Upgrade(args)) => block_on(upgrade::run(&flags, args)),
        Some(Command::Rollback(args)) => block_on(rollback::run(&flags, args)),
        Some(Command::Uninstall(args)) => block_on(uninstall::run(&flags, args)),
        None => block_on(home::run(&flags)),
    }
}

/// Runs a command until it ends or is interrupted.
fn block_on(command: impl Future<Output = Result<Outcome>>) -> Result<Outcome> {
    block_on_until(interrupt::requested(), command)
}

/// For a command that only an interrupt ends, which is no error then.
fn block_on_endless(command: impl Future<Output = Result<Outcome>>) -> Result<Outcome> {
    match block_on(command) {
        Err(error) if error::kind(&error) == Kind::Interrupted => Ok(Outcome::Interrupted),
        other => other,
    }
}

/// For a command that handles the first interrupt itself and cleans up.
async fn second_interrupt() -> io::Result<()> {
    interrupt::requested().await?;
    interrupt::requested().await
}

fn block_on_until(
    interrupt: impl Future<Output = io::Result<()>>,
    command: impl Future<Output = Result<Outcome>>,
) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let outcome = tokio::select! {
            // first, so that the signal is caught before the command sends anything
            biased;
            _ = interrupt => {
                // the cursor is still on the last row or prompt
                if printer::is_live() {
                    printer::note("");
                }
                Err(Failure::new(Kind::Interrupted, "interrupted")
                    .hint("run the command again to continue; nothing was rolled back")
                    .into())
            }
            outcome = command => outcome,
        };
        // the command is dropped, and so is its lock
        lease::released().await;
        outcome
    });
    // a port-forward that is still draining must not keep a finished command
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

/// Fails when the stack is paused, because its components do not respond then.
async fn require_running(stack: &Stack) -> Result<()> {
    match mark::read(stack, mark::PAUSED).await {
        Ok(Some(_)) => {
            Err(Failure::failed(format!("the stack in namespace {} is paused", stack.namespace()))
                .hint(format!("start it first: kubectl lastack resume{}", stack.cluster.flags))
                .into())
        }
        // a command without the permission fails later, if the stack is paused
        Ok(None) | Err(_) => Ok(()),
    }
}

/// Fails when a newer version of this program changed the stack, because this one would return it to its own charts.
fn require_newest(stack: &Stack) -> Result<()> {
    conditions::newer_program(stack)
        .map_or(Ok(()), |diagnosis| Err(diagnosis.into_failure(Kind::Failed).into()))
}

/// The time until a deadline.
fn left_until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// The permission to read the settings of the last install. Without it, verbs assume the default settings.
const READ_SETTINGS: Rules =
    &[Rule::new("", "configmaps", &["get"], "the settings of the stack").named(&[SETTINGS])];

/// Asks for confirmation, unless the user gave it. An error says what was left unchanged.
async fn confirm(given: bool, question: &str, unchanged: &str, hint: &str) -> Result<()> {
    match given {
        true => Ok(()),
        false => require(printer::confirm(question).await, unchanged, hint),
    }
}

/// Fails unless the user confirmed. None: stdin is not a terminal.
fn require(confirmed: Option<bool>, unchanged: &str, hint: &str) -> Result<()> {
    match confirmed {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::failed(format!("not confirmed; {unchanged}")).into()),
        None => {
            Err(Failure::usage(format!("stdin is not a terminal; {unchanged}")).hint(hint).into())
        }
    }
}

/// The stack as last installed, for verbs that do not change its settings.
async fn open(flags: &KubeFlags) -> Result<Stack> {
    open_to_wait(flags, None).await
}

/// The same, with a time limit for all waits together.
async fn open_to_wait(flags: &KubeFlags, wait: Option<Duration>) -> Result<Stack> {
    as_installed(flags.resolve().await?, wait).await
}

async fn as_installed(cluster: Cluster, wait: Option<Duration>) -> Result<Stack> {
    let (stack, unknown) = Stack::as_it_is(cluster, wait).await?;
    if !unknown.is_empty() {
        printer::warning(&format!(
            "ConfigMap {SETTINGS} in namespace {}: unknown settings, ignored by this version of kubectl-lastack: {}",
            stack.namespace(),
            unknown.join(", ")
        ));
    }
    Ok(stack)
}

/// Prints commands to run next, with their purposes in one column.
fn next_steps(steps: &[(String, &str)]) {
    let width = steps.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
    for (command, purpose) in steps {
        printer::note(&format!("  kubectl lastack {command:<width$}   {purpose}"));
    }
}

fn ids(ids: &[Id]) -> String {
    ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ")
}
