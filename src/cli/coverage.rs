use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::tunnel;
use crate::components::datalake::client::moodle_events::{OfEvent, Stored};
use crate::components::lms::history::{Group, Kinds, Period};
use crate::components::{datalake, lms, lrs};
use crate::output::document::Content;
use crate::output::printer;
use crate::output::table::table;
use crate::output::units::{age_of, count, counted};

use super::reconcile::moodle;
use super::{Outcome, TableArgs, TableOrJson, open, statements};

/// Show which kinds of Moodle's events become statements, and which statements
///
/// Compares three lists: the events in Moodle's log, those that the plugin knows and sends, and the statements that the data lake
/// has of them.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack coverage
  kubectl lastack coverage --since 365d --all", json: "Coverage"))]
pub struct CoverageArgs {
    /// Beginning of the period: a time such as 2026-03-01T08:00:00Z, or 12h for 12 hours ago
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = statements::time)]
    since: Timestamp,
    /// Also show the kinds of events that never happened
    #[arg(long)]
    all: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: TableOrJson,
    #[command(flatten)]
    table: TableArgs,
}

pub const NEEDS: &[Rules] = &[lms::CLIENT, tunnel::RULES, datalake::CLIENT];

/// The kinds of Moodle's events and the statements of them
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Coverage {
    events: Vec<Kind>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Kind {
    /// Such as `\core\event\course_viewed`
    event: String,
    delivery: Delivery,
    /// Number of events in the log of the period
    logged: u64,
    /// When the newest event happened
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    newest: Option<Timestamp>,
    /// Number of statements of the period
    statements: u64,
    /// The most frequent verbs of the statements
    verbs: Vec<String>,
    /// The most frequent types of their objects
    types: Vec<String>,
}

/// `sent`: the plugin sends them; `disabled`: its settings exclude them; `unknown`: it cannot make statements of them
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
enum Delivery {
    Sent,
    Disabled,
    Unknown,
}

impl Content for Coverage {
    const KIND: &'static str = "Coverage";
}

pub async fn run(flags: &KubeFlags, args: CoverageArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let moodle = moodle(&stack).await?;
    let (since, until) = (args.since.as_second(), Timestamp::now().as_second());
    let kinds = moodle.event_kinds().await?;
    let logged = moodle.count_log(&Period { since, until, course: None }, false).await?;
    let stored = Stored { authority: lrs::mailbox(lrs::MOODLE), since, until };
    let stored = datalake::client(&stack).await?.stored_by_event(&stored).await?;
    let mut events = joined(&kinds, &logged, stored);
    let never = events.iter().filter(|kind| !kind.is_seen()).count();
    if !args.all {
        events.retain(Kind::is_seen);
    }
    if args.output == TableOrJson::Json {
        printer::json(&Coverage { events })?;
        return Ok(Outcome::Good);
    }
    printer::data(&args.table.of(table(HEADER, events.iter().map(Kind::cells))).to_string())?;
    if !args.all && never > 0 {
        printer::note(&format!(
            "{} of events never happened; `--all` shows them",
            counted(never as u64, "kind")
        ));
    }
    let disabled: Vec<&str> = events
        .iter()
        .filter(|kind| kind.delivery == Delivery::Disabled)
        .map(|kind| kind.event.as_str())
        .collect();
    if !disabled.is_empty() {
        printer::note(&format!(
            "The plugin can send {}, and its settings in Moodle exclude it",
            disabled.join(", ")
        ));
    }
    Ok(Outcome::Good)
}

const HEADER: [&str; 6] = ["EVENT", "LOGGED", "NEWEST", "STATEMENTS", "DELIVERY", "VERB"];

impl Kind {
    fn is_seen(&self) -> bool {
        self.logged + self.statements > 0
    }

    fn cells(&self) -> [String; 6] {
        let delivery = match self.delivery {
            Delivery::Sent if !self.is_seen() => "never seen",
            Delivery::Sent => "sent",
            Delivery::Disabled => "disabled",
            Delivery::Unknown => "unknown to the plugin",
        };
        let verb = self.verbs.first().map(|iri| iri.rsplit(['/', '#']).next().unwrap_or(iri));
        [
            self.event.clone(),
            count(self.logged),
            age_of(self.newest),
            count(self.statements),
            delivery.into(),
            verb.unwrap_or_default().into(),
        ]
    }
}

/// All kinds of events, in the order of their names.
fn joined(kinds: &Kinds, logged: &[Group], mut stored: BTreeMap<String, OfEvent>) -> Vec<Kind> {
    let logged: BTreeMap<&str, &Group> =
        logged.iter().map(|group| (group.event.as_str(), group)).collect();
    let names: BTreeSet<String> = kinds
        .known
        .iter()
        .cloned()
        .chain(logged.keys().map(|name| name.to_string()))
        .chain(stored.keys().cloned())
        .collect();
    let kind = |event: String| {
        let delivery = match () {
            () if kinds.sent.contains(&event) => Delivery::Sent,
            () if kinds.known.contains(&event) => Delivery::Disabled,
            () => Delivery::Unknown,
        };
        let of = stored.remove(&event);
        let (statements, verbs, types) =
            of.map(|of| (of.statements, of.verbs, of.types)).unwrap_or_default();
        let group = logged.get(event.as_str());
        let newest = group.and_then(|group| Timestamp::from_second(group.newest).ok());
        let logged = group.map_or(0, |group| group.states.all());
        Kind { event, delivery, logged, newest, statements, verbs, types }
    };
    names.into_iter().map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::lms::history::States;

    #[test]
    fn kinds_are_those_of_the_log_the_plugin_and_the_statements() {
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        let kinds = Kinds { known: names(&["a", "b", "c"]), sent: names(&["a", "b"]) };
        let states = States { sent: 3, missing: 1, ..States::default() };
        let group = |event: &str| Group { event: event.into(), hour: 0, newest: 9, states };
        let of = OfEvent { statements: 3, verbs: names(&["http://x/viewed"]), types: vec![] };
        let stored = BTreeMap::from([("a".to_string(), of)]);
        let events = joined(&kinds, &[group("a"), group("c"), group("d")], stored);
        let cells = |kind: &Kind| {
            let [event, logged, _, statements, delivery, verb] = kind.cells();
            [event, logged, statements, delivery, verb].join(" ")
        };
        let cells: Vec<String> = events.iter().map(cells).collect();
        assert_eq!(
            cells,
            [
                "a 4 3 sent viewed",
                "b 0 0 never seen ",
                "c 4 0 disabled ",
                "d 4 0 unknown to the plugin "
            ]
        );
    }
}
