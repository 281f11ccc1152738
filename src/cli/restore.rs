use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use k8s_openapi::api::core::v1::ConfigMap;

use crate::backup::location::Location;
use crate::backup::manifest::Manifest;
use crate::backup::secrets::{self, Stored};
use crate::backup::{self, Selection, Source};
use crate::cluster::access::{Rule, Rules};
use crate::cluster::flags::KubeFlags;
use crate::components::model::ExternalDatabase;
use crate::components::namespace::NAMESPACE;
use crate::components::{dataviz, external_database, lms};
use crate::engine::Summary;
use crate::error::Failure;
use crate::output::printer;
use crate::output::units::{duration, took};
use crate::stack::record::this_program;
use crate::stack::{Stack, mark};

use super::confirmation::{self, Statements};
use super::install;
use super::journal::Journal;
use super::stack_args::SettingsArgs;
use super::{Outcome, TextOrJson, lock, require_newest, require_running, verification};

const VERB: &str = "restore";
const UNCHANGED: &str = "nothing was changed";

/// Restore a backup into an empty namespace, or over a stack
///
/// Verifies the backup, installs the stack with the settings in the backup, and replaces its data. Flags override the settings,
/// such as `--domain` on another cluster. Each part is complete and verified before it replaces live data. Repeat an interrupted
/// restore to finish it. At the end, all checks run, and an event is followed from Moodle to a chart.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack restore backups/ -n alice-restored --identity key.txt
  kubectl lastack restore s3://la-backups/moodle -n alice --yes
  kubectl lastack restore backups/ -n bob --only statements", fault: "the stack is restored, and a check fails", timeout, json: "Event" "Summary"))]
pub struct RestoreArgs {
    /// Directory, or s3://BUCKET/PREFIX
    #[arg(value_name = "LOCATION")]
    location: Location,
    /// Name of the backup [default: the newest]
    #[arg(long, value_name = "NAME")]
    backup: Option<String>,
    /// File with the age identity that decrypts the passwords and keys; without it, a new stack gets new ones
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Restore one part into an installed stack
    #[arg(long, value_enum, value_name = "PART", conflicts_with = "identity")]
    only: Option<Selection>,
    /// Replace external databases too, through a Job with the tools of PostgreSQL
    #[arg(long)]
    external: bool,
    /// Do not ask for confirmation before data is replaced; requires `--namespace` or `--context`
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    stack: SettingsArgs,
    /// Time limit for the installation, before and after the data is restored
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration)]
    timeout: Duration,
    /// Output format of the progress
    #[arg(short, long, value_enum, default_value = "text")]
    output: TextOrJson,
}

pub fn needs() -> Vec<Rules> {
    const MARK: Rules =
        &[Rule::new("", "configmaps", &["create", "delete", "get"], "the restore in progress")];
    [
        install::needs(),
        verification::needs(),
        vec![dataviz::RESTART, external_database::RULES, MARK],
    ]
    .concat()
}

pub async fn run(flags: &KubeFlags, args: RestoreArgs) -> Result<Outcome> {
    let journal = Journal::new(VERB, args.output);
    let ended = restore(flags, &args, &journal).await;
    journal.conclude_verified(ended)
}

/// The second value is whether no check failed.
async fn restore(
    flags: &KubeFlags,
    args: &RestoreArgs,
    journal: &Journal,
) -> Result<(Summary, bool)> {
    if args.yes {
        confirmation::require_named_stack(flags, VERB, UNCHANGED)?;
    }
    let (store, manifest) = backup::select(&args.location, args.backup.as_deref()).await?;
    let source = Source { store, manifest, with_external: args.external };
    printer::note(&format!("Restoring backup {} of {}", source.manifest.name, args.location));
    let report = journal.report(backup::ids(&source.manifest));
    // before anything changes: a damaged backup must not replace anything
    backup::verify(&source.store, &source.manifest, &*report).await?;
    drop(report);
    let keys = args.identity.as_deref().map(secrets::identities).transpose()?;
    let secrets = match &keys {
        Some(keys) => source.secrets(keys).await?,
        None => None,
    };
    if secrets.is_none() && source.has_secrets() && args.only.is_none() {
        printer::warning(
            "the passwords and keys in the backup are not restored without `--identity`",
        );
    }
    let stack = open(flags, args, &source.manifest).await?;
    journal.names(&stack);
    require_running(&stack).await?;
    check_versions(&stack, args, &source.manifest)?;
    require_newest(&stack)?;
    let external = external(&source, &stack, args.only)?;
    if let Some(external) = external.as_ref().filter(|_| !args.external) {
        printer::warning(&format!(
            "{external} is used as it is; `--external` replaces its data by the backup"
        ));
    }
    let interrupted = mark::read(&stack, mark::RESTORE).await?;
    let is_continued = interrupted
        .is_some_and(|mark| mark.get("backup").is_some_and(|name| *name == source.manifest.name));
    // the user confirmed the restore that was interrupted
    if !is_continued {
        confirm(&stack, args, &source.manifest, external.as_deref()).await?;
    }
    let summary = replace(&source, args, stack, secrets.as_deref(), journal).await?;
    printer::note(&format!("Restored in {}", took(summary.took)));
    if args.only == Some(Selection::Statements) {
        return Ok((summary, true));
    }
    let stack = open(flags, args, &source.manifest).await?;
    let is_whole = verification::run(&stack, journal).await?;
    Ok((summary, is_whole))
}

/// The stack to restore into: with its own settings, or for a new one with those in the backup.
async fn open(flags: &KubeFlags, args: &RestoreArgs, manifest: &Manifest) -> Result<Stack> {
    let typed = args.stack.settings()?;
    let mut stack = Stack::open(flags.resolve().await?, typed.clone(), Some(args.timeout)).await?;
    if !stack.is_new || args.only.is_some() {
        return Ok(stack);
    }
    let stored = ConfigMap { data: Some(manifest.settings.clone()), ..ConfigMap::default() };
    stack.adopt(&stored, typed)?;
    Ok(stack)
}

/// Rejects a backup of a newer program or component, whose data the older one could not read.
fn check_versions(stack: &Stack, args: &RestoreArgs, manifest: &Manifest) -> Result<()> {
    // statements do not depend on the version of a component
    if args.only == Some(Selection::Statements) {
        return Ok(());
    }
    let version = |text: &str| semver::Version::parse(text).ok();
    let (written_by, this) = (&manifest.program, this_program());
    if version(written_by).is_some_and(|newer| newer > this) {
        let message =
            format!("kubectl-lastack {written_by} wrote the backup; this is version {this}");
        return Err(Failure::failed(message)
            .hint(format!("use kubectl-lastack {written_by} or later"))
            .into());
    }
    for (component, backed_up) in &manifest.versions {
        let release = stack.versions.of(*component);
        if version(backed_up) > version(&release.version) {
            return Err(Failure::failed(format!(
                "the backup has {} {backed_up}, and the stack has {}",
                release.program, release.version
            ))
            .hint(format!(
                "upgrade the stack first: kubectl lastack upgrade{}",
                stack.cluster.flags
            ))
            .into());
        }
    }
    Ok(())
}

/// The external databases that the restored stack uses, for users. None: it uses none.
fn external(source: &Source, stack: &Stack, only: Option<Selection>) -> Result<Option<String>> {
    let shown = |database: ExternalDatabase| {
        let address = external_database::shown(stack, database)?;
        Ok(format!("the external database {address} of {}", database.program))
    };
    let external =
        source.external(stack, only).into_iter().map(shown).collect::<Result<Vec<_>>>()?;
    Ok((!external.is_empty()).then(|| external.join(" and ")))
}

async fn confirm(
    stack: &Stack,
    args: &RestoreArgs,
    manifest: &Manifest,
    external: Option<&str>,
) -> Result<()> {
    let external = external.filter(|_| args.external);
    // statements are only added
    if args.only == Some(Selection::Statements) {
        return Ok(());
    }
    if stack.is_new {
        return match args.only {
            None => match external {
                Some(external) => {
                    // another stack may use it
                    printer::warning(&format!("the restore replaces the data of {external}"));
                    super::confirm(args.yes, "Replace it?", UNCHANGED, "pass `--yes`").await
                }
                None => Ok(()),
            },
            Some(_) => Err(Failure::usage(format!("namespace {} has no stack", stack.namespace()))
                .hint("restore the whole backup without `--only`, or name the namespace of a stack")
                .into()),
        };
    }
    let namespace = stack.namespace();
    let what = match args.only {
        Some(Selection::Lms) => "the data of Moodle",
        Some(Selection::Dataviz) => "the dashboards and users of Superset",
        Some(Selection::Statements) | None => "all data",
    };
    let statements = match args.only {
        None => Statements::count(stack).await,
        Some(_) => Statements::Absent,
    };
    let begun = manifest.begun.strftime("%Y-%m-%d %H:%M UTC");
    let external = external.map(|external| format!(", and {external},")).unwrap_or_default();
    let mut question =
        format!("Replace {what} of namespace {namespace}{external} by the backup of {begun}?");
    if let Some(shown) = statements.shown() {
        question = format!("{shown}\n{question}");
    }
    if args.yes {
        printer::note(question.trim_end_matches('?'));
        return Ok(());
    }
    confirmation::confirm(stack, &statements, &question, UNCHANGED).await
}

/// Installs the stack, restores its data, and reconciles the stack again, because its settings are in the restored data.
async fn replace(
    source: &Source,
    args: &RestoreArgs,
    stack: Stack,
    secrets: Option<&[Stored]>,
    journal: &Journal,
) -> Result<Summary> {
    let begun = Instant::now();
    let (graph, mut stack) = args.stack.prepare(args.stack.graph()?, stack)?;
    // without the time in which the user confirmed
    stack.wait_for(args.timeout);
    let (namespace, graph) = graph.split(|node| node.id() == NAMESPACE);
    let report = journal.report(namespace.ids());
    // the lock is an object in the namespace
    namespace.reconcile(&stack, &*report).await?;
    drop(report);
    let lock = lock::take(&stack.cluster, VERB, stack.deadline).await?;
    let is_added = args.only == Some(Selection::Statements);
    let restored = async {
        let was_interrupted = mark::read(&stack, mark::RESTORE).await?.is_some();
        if !is_added {
            let backup = source.manifest.name.clone();
            let mark = [("backup", backup), ("location", args.location.to_string())];
            mark::set(&stack, mark::RESTORE, &mark).await?;
        }
        if let Some(secrets) = secrets {
            let changed = secrets::apply(&stack, secrets).await?;
            printer::note(&format!("Restored {} passwords and keys", changed.len()));
        }
        if was_interrupted {
            let report = journal.report(source.ids(&stack, args.only).into_iter());
            backup::recover(&stack, source.with_external, &*report).await?;
        }
        if args.only.is_none() {
            let report = journal.report(graph.ids());
            graph.reconcile(&stack, &*report).await?;
        }
        let ids = source.ids(&stack, args.only);
        let exchange = ids.contains(&lms::DATABASE).then_some(lms::EXCHANGE);
        let report = journal.report(ids.iter().copied().chain(exchange));
        source.restore(&stack, args.only, &*report).await?;
        drop(report);
        if !is_added {
            stack.wait_for(args.timeout);
            stack.forget_releases();
            let report = journal.report(graph.ids());
            graph.reconcile(&stack, &*report).await?;
            mark::clear(&stack, mark::RESTORE).await?;
        }
        anyhow::Ok(ids)
    };
    let changed = lock.during(restored).await?;
    Ok(Summary { changed, took: begun.elapsed(), ..Summary::default() })
}
