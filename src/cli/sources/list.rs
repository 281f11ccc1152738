use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::tunnel;
use crate::components::datalake::client::authorities::OfAuthority;
use crate::components::lrs::sources::{self, Source, SourceKind};
use crate::components::{datalake, lms, lrs};
use crate::output::document::Content;
use crate::output::printer;
use crate::output::table::table;
use crate::output::units::{age_of, count};
use crate::stack::Stack;

use super::super::{Outcome, TableArgs, TableOrJson, open};

/// List the sources of statements and the number of their statements
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack sources list
  kubectl lastack sources list -o json", json: "SourceList"))]
pub struct ListArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: TableOrJson,
    #[command(flatten)]
    table: TableArgs,
}

pub const NEEDS: &[Rules] = &[lrs::CLIENT, tunnel::RULES, datalake::READER];

/// The sources of statements
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SourceList {
    items: Vec<Item>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Item {
    /// Name of the source; for statements of another account, the mailbox of their authority
    name: String,
    /// null: the account was not created with `sources add`
    kind: Option<SourceKind>,
    state: State,
    /// Number of its statements
    statements: u64,
    /// Mean number of its statements per day, of the last seven days
    per_day: u64,
    /// When its newest statement was stored
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    newest: Option<Timestamp>,
}

/// `rotating`: the account of before a rotation is still valid; `stack`: the Moodle of the stack; `other`: no source
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
enum State {
    Enabled,
    Disabled,
    Rotating,
    Stack,
    Other,
}

impl State {
    fn of(source: &Source) -> Self {
        match (source.is_enabled, &source.previous) {
            (false, _) => Self::Disabled,
            (true, Some(_)) => Self::Rotating,
            (true, None) => Self::Enabled,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Rotating => "rotating",
            Self::Stack => "part of the stack",
            Self::Other => "other account",
        }
    }
}

impl Content for SourceList {
    const KIND: &'static str = "SourceList";
}

pub async fn run(flags: &KubeFlags, args: &ListArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let sources = sources::all(&stack).await?;
    let stored = datalake::reader(&stack).await?.authorities().await?;
    let items = items(&stack, &sources, stored);
    if args.output == TableOrJson::Json {
        printer::json(&SourceList { items })?;
        return Ok(Outcome::Good);
    }
    let kind = |item: &Item| match item.kind {
        Some(kind) => clap::ValueEnum::to_possible_value(&kind)
            .map(|value| value.get_name().to_string())
            .unwrap_or_default(),
        None => String::new(),
    };
    let rows = items.iter().map(|item| {
        [
            item.name.clone(),
            kind(item),
            item.state.as_str().into(),
            count(item.statements),
            count(item.per_day),
            age_of(item.newest),
        ]
    });
    let header = ["NAME", "KIND", "STATE", "STATEMENTS", "PER DAY", "LAST"];
    printer::data(&args.table.of(table(header, rows)).to_string())?;
    Ok(Outcome::Good)
}

/// The Moodle of the stack, the sources, and the other accounts with statements.
fn items(
    stack: &Stack,
    sources: &[Source],
    mut stored: BTreeMap<String, OfAuthority>,
) -> Vec<Item> {
    let item = |name: &str, kind, state, of: Option<OfAuthority>| Item {
        name: name.into(),
        kind,
        state,
        statements: of.as_ref().map_or(0, |of| of.statements),
        per_day: of.as_ref().map_or(0, |of| of.last_week.div_ceil(7)),
        newest: of.and_then(|of| of.newest),
    };
    let mut items = Vec::new();
    if stack.settings.has(lms::COMPONENT) {
        let of = stored.remove(&lrs::mailbox(lrs::MOODLE));
        items.push(item(lrs::MOODLE, Some(SourceKind::Moodle), State::Stack, of));
    }
    for source in sources {
        let of = stored.remove(&source.authority());
        items.push(item(&source.name, Some(source.kind), State::of(source), of));
    }
    let others = stored.into_iter().map(|(authority, of)| {
        let user = lrs::user_of(&authority).unwrap_or(&authority);
        item(user, None, State::Other, Some(of))
    });
    items.extend(others);
    items
}
