use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::cluster::flags::KubeFlags;
use crate::components::lms;
use crate::components::lms::client::{Failed, Replayed};
use crate::error::Failure;
use crate::output::printer;
use crate::output::table::table;
use crate::output::text;
use crate::output::units::{age, count};

use super::{Outcome, TableOrJson, open};

/// Send again the events that Moodle's plugin gave up on
///
/// Shows them by cause and asks. The stack does the same every few minutes by itself; what the LRS has already is not
/// stored twice. Exit code 3 when some could not be sent.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Show what would be sent, send nothing
    #[arg(long)]
    dry_run: bool,
    /// Also what the LRS refused before though it came by itself
    #[arg(long)]
    refused: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: TableOrJson,
}

pub async fn run(flags: &KubeFlags, args: ReplayArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let moodle = lms::client(&stack).await?;
    let state = moodle.state().await?;
    let Some(queue) = state.queue else {
        return Err(Failure::failed(format!(
            "the plugin that sends events is not installed in Moodle {}",
            state.release
        ))
        .hint("`kubectl lastack install` installs it")
        .into());
    };
    let is_wanted = |failed: &Failed| failed.is_due() || (args.refused && failed.alone);
    let due: u64 =
        queue.failed.iter().filter(|failed| is_wanted(failed)).map(|failed| failed.events).sum();
    let replayed = if due == 0 || args.dry_run {
        None
    } else {
        if args.output == TableOrJson::Table {
            printer::data(&render(&queue.failed, state.now, args.refused))?;
        }
        let confirmed = args.yes
            || printer::confirm(&format!("Send {} events again?", count(due))).await.ok_or_else(
                || {
                    Failure::usage("nobody is there to confirm this")
                        .hint("say `--yes`, or `--dry-run` to look only")
                },
            )?;
        if !confirmed {
            return Err(Failure::failed("not confirmed, nothing was sent").into());
        }
        Some(moodle.replay(args.refused).await?)
    };
    match args.output {
        TableOrJson::Json => printer::json(&json!({
            "apiVersion": "lastack/v1", "kind": "Replay", "failed": queue.failed.iter().map(item).collect::<Vec<_>>(), "replayed": replayed,
        }))?,
        TableOrJson::Table if replayed.is_none() && !queue.failed.is_empty() => {
            printer::data(&render(&queue.failed, state.now, args.refused))?
        }
        TableOrJson::Table => {}
    }
    let Some(replayed) = replayed else {
        printer::note(&if due == 0 {
            "There is nothing to send again".to_string()
        } else {
            format!("{} events would be sent again", count(due))
        });
        return Ok(Outcome::Good);
    };
    printer::note(&summary(due, &replayed));
    Ok(if replayed.stopped.is_some() || replayed.refused > 0 {
        Outcome::Fault
    } else {
        Outcome::Good
    })
}

/// What becomes of events with this cause.
fn fate(failed: &Failed, refused_too: bool) -> &'static str {
    match failed {
        failed if failed.is_no_statement() => "never",
        failed if failed.alone && !refused_too => "not by itself",
        _ => "again",
    }
}

fn render(failed: &[Failed], now: i64, refused_too: bool) -> String {
    let rows = failed.iter().map(|one| {
        let oldest = Duration::from_secs(u64::try_from(now - one.oldest).unwrap_or_default());
        [
            count(one.events),
            age(oldest),
            fate(one, refused_too).to_string(),
            one.cause(),
            text::excerpt(&one.refusal.response, 80),
        ]
    });
    table(["EVENTS", "OLDEST", "SENT", "CAUSE", "THE LRS SAID"], rows)
}

fn item(failed: &Failed) -> serde_json::Value {
    json!({"events": failed.events, "code": failed.refusal.errortype, "cause": failed.cause(), "oldest": failed.oldest, "sent": fate(failed, false), "response": failed.refusal.response})
}

fn summary(due: u64, replayed: &Replayed) -> String {
    let mut text = format!(
        "{} of {} events sent again, {} were there already",
        count(replayed.sent),
        count(due),
        count(replayed.already)
    );
    for (events, what) in [
        (replayed.refused, "are refused by the LRS even by themselves"),
        (replayed.never, "can make no statement any more"),
    ] {
        if events > 0 {
            text.push_str(&format!(", {} {what}", count(events)));
        }
    }
    match &replayed.stopped {
        Some(why) => format!("{text}; stopped: {why}"),
        None => text,
    }
}
