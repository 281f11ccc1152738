use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::backup::location::Location;
use crate::backup::manifest::{LeftOut, Manifest};
use crate::backup::{self, Found};
use crate::cli::{Outcome, TableArgs};
use crate::output::document::Content;
use crate::output::printer;
use crate::output::table::table;
use crate::output::text;
use crate::output::units::{age, bytes, count};

/// List the backups in a directory or an object storage
#[derive(Debug, Args)]
#[command(after_long_help = after_help!(offline "  kubectl lastack backup list backups/
  kubectl lastack backup list s3://la-backups/moodle -o json", json: "BackupList"))]
pub struct ListArgs {
    /// Directory, or s3://BUCKET/PREFIX
    #[arg(value_name = "LOCATION")]
    location: Location,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    table: TableArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    Table,
    /// Names of the complete backups
    Name,
    Json,
}

/// The backups of a location, from the oldest to the newest
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BackupList<'a> {
    items: Vec<Item<'a>>,
}

impl Content for BackupList<'_> {
    const KIND: &'static str = "BackupList";
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Item<'a> {
    name: &'a str,
    state: State,
    /// Namespace of the stack; null when the manifest cannot be read, as the following fields
    namespace: Option<&'a str>,
    /// When the backup began
    begun: Option<String>,
    /// Number of statements
    statements: Option<u64>,
    /// Size of its files
    bytes: Option<u64>,
    /// Versions of the components
    versions: std::collections::BTreeMap<&'static str, &'a str>,
    /// What the backup does not contain
    left_out: Vec<Omission<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Omission<'a> {
    /// Text
    what: &'a str,
    /// Text
    reason: &'a str,
}

/// `incomplete`: the same `backup` continues it; `damaged`: its manifest cannot be read
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
enum State {
    Complete,
    Incomplete,
    Damaged,
}

impl<'a> Item<'a> {
    fn of(found: &'a Found) -> Self {
        let (state, manifest) = match found {
            Found::Complete(manifest) => (State::Complete, Some(manifest)),
            Found::Incomplete(manifest) => (State::Incomplete, Some(manifest)),
            Found::Damaged(..) => (State::Damaged, None),
        };
        let versions = manifest.into_iter().flat_map(|manifest| &manifest.versions);
        let left_out = manifest.into_iter().flat_map(|manifest| &manifest.left_out);
        Self {
            name: found.name(),
            state,
            namespace: manifest.map(|manifest| manifest.namespace.as_str()),
            begun: manifest.map(|manifest| manifest.begun.to_string()),
            statements: manifest.and_then(Manifest::statements),
            bytes: manifest.map(Manifest::bytes),
            versions: versions.map(|(name, version)| (name.as_str(), version.as_str())).collect(),
            left_out: left_out.map(|LeftOut { what, reason }| Omission { what, reason }).collect(),
        }
    }
}

pub async fn run(args: ListArgs) -> Result<Outcome> {
    let found = backup::list(&args.location.open(false)?).await?;
    match args.output {
        Format::Json => printer::json(&BackupList { items: found.iter().map(Item::of).collect() })?,
        Format::Name => {
            let complete = found.iter().filter(|found| matches!(found, Found::Complete(_)));
            printer::data(&complete.map(|found| format!("{}\n", found.name())).collect::<String>())?
        }
        Format::Table if found.is_empty() => {
            printer::note(&format!("No backups in {}", args.location));
        }
        Format::Table => {
            let rows = found.iter().map(row);
            let header = ["BACKUP", "STATE", "AGE", "STATEMENTS", "SIZE"];
            printer::data(&args.table.of(table(header, rows)).to_string())?
        }
    }
    Ok(Outcome::Good)
}

fn row(found: &Found) -> [String; 5] {
    let numbers = |manifest: &Manifest| {
        let statements = manifest.statements().map_or("-".into(), count);
        (age(manifest.age()), statements, bytes(manifest.bytes()))
    };
    let (state, (age, statements, size)) = match found {
        Found::Complete(manifest) => ("complete".to_string(), numbers(manifest)),
        Found::Incomplete(manifest) => ("incomplete".to_string(), numbers(manifest)),
        Found::Damaged(_, why) => {
            let none = || "-".to_string();
            (format!("damaged: {why}"), (none(), none(), none()))
        }
    };
    [text::clean(found.name()), state, age, statements, size]
}
