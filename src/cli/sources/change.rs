//! Changes the account of a source, and makes the LRS use it.

use std::time::Instant;

use anyhow::Result;

use crate::cluster::flags::KubeFlags;
use crate::components::lrs::sources::{self, Source};
use crate::components::{self, lrs};
use crate::engine::Id;
use crate::error::Failure;
use crate::output::printer;
use crate::stack::Stack;
use crate::stack::settings::Settings;

use super::super::progress::Rows;
use super::super::{Outcome, confirm, left_until, lock, require_newest, require_running};
use super::{AddArgs, Limit, RemoveArgs, RotateArgs, show};

/// The nodes that follow from the accounts.
const NODES: [Id; 3] = [Id("lrs.credentials"), Id("lrs.release"), Id("lrs.responds")];

pub async fn add(flags: &KubeFlags, args: &AddArgs) -> Result<Outcome> {
    let source = change(flags, "sources add", args.limit, async |stack| {
        if let Some(found) =
            sources::all(stack).await?.into_iter().find(|source| source.name == args.name)
        {
            printer::note(&format!("Source `{}` exists", args.name));
            return Ok(Source { kind: args.kind, ..found });
        }
        lrs::require_free(stack, &args.name).await?;
        Ok(Source::new(&args.name, args.kind))
    });
    let (stack, source) = source.await?;
    printer::note(&format!("Source `{}` can send statements", source.name));
    show::print(&stack, &source).await?;
    Ok(Outcome::Good)
}

pub async fn rotate(flags: &KubeFlags, args: &RotateArgs) -> Result<Outcome> {
    let rotated = change(flags, "sources rotate", args.limit, async |stack| {
        let mut source = sources::find(stack, &args.name).await?;
        match (args.finish, &source.previous) {
            (true, _) => source.previous = None,
            (false, None) => source.rotate(),
            (false, Some(_)) => printer::note("A rotation has begun, and `--finish` ends it"),
        }
        Ok(source)
    });
    let (stack, source) = rotated.await?;
    match &source.previous {
        None => printer::note(&format!("Only user `{}` is valid", source.login.user)),
        Some(previous) => {
            printer::note(&format!(
                "User `{}` is valid too until `kubectl lastack sources rotate {} --finish{}`",
                previous.user, source.name, stack.cluster.flags
            ));
            show::print(&stack, &source).await?;
        }
    }
    Ok(Outcome::Good)
}

pub async fn enable(flags: &KubeFlags, name: &str, limit: Limit) -> Result<Outcome> {
    set_enabled(flags, "sources enable", name, limit, true).await?;
    printer::note(&format!("Source `{name}` can send statements"));
    Ok(Outcome::Good)
}

pub async fn disable(flags: &KubeFlags, name: &str, limit: Limit) -> Result<Outcome> {
    set_enabled(flags, "sources disable", name, limit, false).await?;
    printer::note(&format!("The LRS rejects source `{name}`"));
    Ok(Outcome::Good)
}

pub async fn remove(flags: &KubeFlags, args: &RemoveArgs) -> Result<Outcome> {
    let name = &args.name;
    let question = format!("Delete the account of source `{name}`, and keep its statements?");
    confirm(args.yes, &question, "nothing was deleted", "pass `--yes`").await?;
    // its login leaves the accounts file before it is forgotten
    let (stack, _) = set_enabled(flags, "sources remove", name, args.limit, false).await?;
    sources::delete(&stack, name).await?;
    printer::note(&format!("Source `{name}` is deleted; its statements remain"));
    Ok(Outcome::Good)
}

async fn set_enabled(
    flags: &KubeFlags,
    verb: &'static str,
    name: &str,
    limit: Limit,
    is_enabled: bool,
) -> Result<(Stack, Source)> {
    let edit = async |stack: &Stack| {
        let found = sources::find(stack, name).await?;
        Ok(Source { is_enabled, ..found })
    };
    change(flags, verb, limit, edit).await
}

/// Stores a source, and reconciles the LRS with it. Verifies that the LRS accepts an enabled source.
async fn change(
    flags: &KubeFlags,
    verb: &'static str,
    limit: Limit,
    edit: impl AsyncFnOnce(&Stack) -> Result<Source>,
) -> Result<(Stack, Source)> {
    let cluster = flags.resolve().await?;
    let deadline = Instant::now() + limit.timeout;
    let lock = lock::take(&cluster, verb, Some(deadline)).await?;
    let stack = Stack::open(cluster, Settings::default(), Some(left_until(deadline))).await?;
    let changed = async {
        require_newest(&stack)?;
        require_running(&stack).await?;
        if !stack.settings.has(lrs::COMPONENT) || stack.is_new {
            let what = format!("namespace {} has no LRS", stack.namespace());
            return Err(Failure::failed(what).hint("install one: kubectl lastack install").into());
        }
        let source = edit(&stack).await?;
        sources::store(&stack, &source).await?;
        let graph = components::graph()?.without(|node| !NODES.contains(&node.id()));
        let rows = Rows::new(graph.ids());
        graph.reconcile(&stack, &rows).await?;
        drop(rows);
        if source.is_enabled && !lrs::accepts(&stack, &source.login).await? {
            return Err(Failure::failed(format!(
                "the LRS does not use the account of source `{}`",
                source.name
            ))
            .hint("repeat the command")
            .into());
        }
        Ok(source)
    };
    let source = lock.during(changed).await?;
    Ok((stack, source))
}
