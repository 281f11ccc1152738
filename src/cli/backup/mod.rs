pub mod list;
mod prune;
mod verify;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::backup::location::Location;
use crate::backup::manifest::Manifest;
use crate::backup::secrets::{PublicKey, recipient};
use crate::backup::{self, Begun};
use crate::cluster::access::{Rule, Rules};
use crate::cluster::flags::KubeFlags;
use crate::cluster::{lease, tunnel};
use crate::components::dataviz::dashboards::record;
use crate::components::{conditions, datalake, dataviz, external_database, lms};
use crate::engine::Summary;
use crate::output::printer;
use crate::output::units::{age, bytes, counted, took};
use crate::stack::Stack;

use super::journal::Journal;
use super::{Outcome, TextOrJson, lock, next_steps, open, require_running};

/// Copy the statements, databases and files of the stack to a directory or an object storage
///
/// A backup restores the stack in any namespace of any cluster. It is complete only with its manifest, which is written last.
/// After an interruption, the same command continues. Passwords and keys are encrypted for the recipients, or left out.
/// For s3://, the variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL name the account and the
/// server.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_long_help = after_help!("  kubectl lastack backup backups/ --recipient age1...
  kubectl lastack backup s3://la-backups/moodle -n alice
  kubectl lastack backup list backups/", json: "Event" "Summary"))]
pub struct BackupArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Directory, or s3://BUCKET/PREFIX, for this and other backups
    #[arg(required = true, value_name = "LOCATION")]
    location: Option<Location>,
    /// Public key of an age identity that can decrypt the passwords and keys (repeatable)
    #[arg(long, value_name = "AGE-KEY", value_parser = recipient)]
    recipient: Vec<PublicKey>,
    /// Copy external databases too, through a Job with the tools of PostgreSQL
    #[arg(long)]
    external: bool,
    /// Output format of the progress
    #[arg(short, long, value_enum, default_value = "text")]
    output: TextOrJson,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(list::ListArgs),
    Verify(verify::VerifyArgs),
    Prune(prune::PruneArgs),
}

pub const NEEDS: &[Rules] = &[
    lease::RULES,
    tunnel::RULES,
    datalake::CLIENT,
    lms::CLIENT,
    lms::ADDRESSES,
    dataviz::KEY,
    record::READ,
    conditions::MARKS,
    external_database::RULES,
    &[Rule::new("", "secrets", &["list"], "the passwords and keys, with `--recipient`")],
];

pub async fn run(flags: &KubeFlags, args: BackupArgs) -> Result<Outcome> {
    match (args.action, args.location) {
        (Some(Action::List(list)), _) => list::run(list).await,
        (Some(Action::Verify(verify)), _) => verify::run(verify).await,
        (Some(Action::Prune(prune)), _) => prune::run(prune).await,
        (None, Some(location)) => {
            let journal = Journal::new("backup", args.output);
            let request = Request { recipients: &args.recipient, with_external: args.external };
            let ended = create(flags, &location, &request, &journal).await;
            journal.conclude(ended)
        }
        // clap requires one of them
        (None, None) => Ok(Outcome::Good),
    }
}

/// What the user wants in a backup, besides the data of the stack.
pub struct Request<'a> {
    pub recipients: &'a [PublicKey],
    pub with_external: bool,
}

async fn create(
    flags: &KubeFlags,
    location: &Location,
    request: &Request<'_>,
    journal: &Journal,
) -> Result<Summary> {
    let stack = open(flags).await?;
    journal.names(&stack);
    require_running(&stack).await?;
    let manifest = copy(&stack, location, request, journal).await?;
    conclude(&stack, location, &manifest);
    let changed = backup::parts(&stack, request.with_external);
    Ok(Summary { changed, took: manifest.took(), ..Summary::default() })
}

/// Copies the data of a stack that runs.
///
/// # Errors
/// When a part cannot be copied. The same call then continues after the complete parts.
pub async fn copy(
    stack: &Stack,
    location: &Location,
    request: &Request<'_>,
    journal: &Journal,
) -> Result<Manifest> {
    let store = location.open(true)?;
    let lock = lock::take(&stack.cluster, "backup", stack.deadline).await?;
    let Begun { manifest, is_continued, deleted } =
        backup::begin(stack, &store, request.with_external).await?;
    for name in deleted {
        printer::note(&format!("Deleted the incomplete backup {name}"));
    }
    let name = manifest.name.clone();
    printer::note(&match is_continued {
        true => format!("Continuing backup {name}, begun {} ago", age(manifest.age())),
        false => format!("Backup {name} in {location}"),
    });
    let report = journal.report(backup::parts(stack, request.with_external).into_iter());
    let copied = backup::create(stack, &store, manifest, request.recipients, &*report);
    lock.during(copied).await
}

/// Prints what the backup contains and what it lacks.
pub fn summarize(manifest: &Manifest) {
    for left_out in &manifest.left_out {
        printer::warning(&format!("not in the backup: {}: {}", left_out.what, left_out.reason));
    }
    let statements = manifest.statements().map(|n| counted(n, "statement") + ", ");
    printer::note(&format!(
        "Complete: {}{} in {}",
        statements.unwrap_or_default(),
        bytes(manifest.bytes()),
        took(manifest.took())
    ));
}

fn conclude(stack: &Stack, location: &Location, manifest: &Manifest) {
    summarize(manifest);
    let namespace = stack.namespace();
    let name = &manifest.name;
    next_steps(&[
        (
            format!("backup verify {location} --backup {name}"),
            "compare the files with their checksums",
        ),
        (
            format!("restore {location} --backup {name} -n {namespace}-restored"),
            "restore into another namespace",
        ),
    ]);
}
