use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::tunnel;
use crate::components::lrs::client::{Cursor, Ralph};
use crate::components::{datalake, lrs};
use crate::error::Failure;
use crate::output::document::Content;
use crate::output::printer;
use crate::output::table::{Table, table};
use crate::output::text;

use super::{Outcome, TableArgs, confirm, open};

/// Show statements of the LRS, newest first
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_long_help = after_help!("  kubectl lastack statements
  kubectl lastack statements --agent ada@example.org --since 2h
  kubectl lastack statements --all -o ndjson", json: "Statements"))]
pub struct StatementsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Only statements of this actor: an e-mail address, NAME,HOMEPAGE of an account, or an agent as JSON
    #[arg(long, value_name = "AGENT", value_parser = agent)]
    agent: Option<String>,
    /// Only statements with this verb
    #[arg(long, value_name = "IRI", value_parser = iri)]
    verb: Option<String>,
    /// Only statements about this activity
    #[arg(long, value_name = "IRI", value_parser = iri)]
    activity: Option<String>,
    /// Only statements after this time, such as 2026-03-01T08:00:00Z, or 2h for two hours ago
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<jiff::Timestamp>,
    /// Only statements until this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<jiff::Timestamp>,
    /// Maximum number of statements
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,
    /// Show all statements
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Show the oldest statements first
    #[arg(long)]
    ascending: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    table: TableArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    Delete(DeleteArgs),
}

/// Delete one statement from the data lake
///
/// Use this for a statement that the LRS cannot return. `status` names it.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack statements delete 7f8d1e4c-2b7a-4f0e-9a53-0d4c1f6b2a11"))]
struct DeleteArgs {
    /// ID of the statement
    id: Uuid,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    /// One statement per line, as the LRS returns it
    Ndjson,
}

fn agent(text: &str) -> Result<String, String> {
    if text.starts_with('{') {
        let agent: Value =
            serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        return Ok(agent.to_string());
    }
    // a name may contain commas, the scheme of a home page contains none
    let account = text.find("://").and_then(|scheme| {
        let comma = text[..scheme].rfind(',')?;
        Some((&text[..comma], &text[comma + 1..]))
    });
    let agent =
        match account {
            Some((name, home)) => json!({"account": {"name": name, "homePage": home}}),
            _ if text.starts_with("mailto:") => json!({"mbox": text}),
            _ if text.contains('@') => json!({"mbox": format!("mailto:{text}")}),
            _ => return Err(
                "expected an e-mail address, NAME,HOMEPAGE (3,https://moodle.example.org), or JSON"
                    .into(),
            ),
        };
    Ok(agent.to_string())
}

fn iri(text: &str) -> Result<String, String> {
    match text.split_once(':') {
        Some((scheme, rest)) if !scheme.is_empty() && !rest.is_empty() => Ok(text.into()),
        _ => Err("expected an IRI, such as http://id.tincanapi.com/verb/viewed".into()),
    }
}

/// Parses a time, or a duration before now.
pub fn time(text: &str) -> Result<jiff::Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    let ago = match days {
        Some(days) => Ok(jiff::SignedDuration::from_hours(24 * i64::from(days))),
        None => text.parse(),
    };
    let ago = ago.map_err(
        |_| "expected a time such as 2026-03-01T08:00:00Z, or a duration such as 2h or 7d",
    )?;
    jiff::Timestamp::now().checked_sub(ago).map_err(|error| error.to_string())
}

pub const NEEDS: &[Rules] = &[tunnel::RULES, lrs::CLIENT];
pub const DELETE_NEEDS: &[Rules] = &[tunnel::RULES, datalake::CLIENT];

pub async fn run(flags: &KubeFlags, args: StatementsArgs) -> Result<Outcome> {
    if let Some(Action::Delete(args)) = args.action {
        return delete(flags, &args).await;
    }
    let stack = open(flags).await?;
    let ralph = lrs::client(&stack).await?;
    let mut pages = Pages {
        ralph,
        next: Some(Cursor::Query(query(&args))),
        remaining: if args.all { u64::MAX } else { args.limit },
    };
    if args.output == Format::Ndjson {
        while let Some(page) = pages.next().await? {
            let lines: String =
                page.iter().map(|statement| format!("{}\n", statement.get())).collect();
            if printer::document(&lines)?.is_break() {
                break;
            }
        }
        return Ok(Outcome::Good);
    }
    let mut found = Vec::new();
    while let Some(page) = pages.next().await? {
        found.extend(page);
    }
    match args.output {
        Format::Json => printer::json(&Statements { items: &found })?,
        _ if found.is_empty() => printer::note("The LRS has no matching statement"),
        _ => printer::data(&args.table.of(render(&found)).cut())?,
    }
    Ok(Outcome::Good)
}

/// Statements of the LRS. `-o ndjson` prints one statement per line without this frame
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Statements<'a> {
    /// The statements byte for byte as the LRS returns them
    // not parsed: parsing rejects deep nesting and long numbers
    #[cfg_attr(test, schemars(with = "Vec<serde_json::Map<String, Value>>"))]
    items: &'a [Box<RawValue>],
}

impl Content for Statements<'_> {
    const KIND: &'static str = "Statements";
}

async fn delete(flags: &KubeFlags, args: &DeleteArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let DeleteArgs { id, yes } = *args;
    let stack_name =
        format!("namespace {} of context {}", stack.namespace(), stack.cluster.context);
    let question = format!("Delete statement {id} from {stack_name}?");
    confirm(yes, &question, "nothing was deleted", "pass `--yes`").await?;
    if !datalake::client(&stack).await?.delete_if_stored(id).await? {
        return Err(Failure::failed(format!("the data lake has no statement {id}")).into());
    }
    printer::note(&format!("Statement {id} deleted"));
    Ok(Outcome::Good)
}

fn query(args: &StatementsArgs) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let texts = [("agent", &args.agent), ("verb", &args.verb), ("activity", &args.activity)];
    let times = [("since", args.since), ("until", args.until)];
    query.extend_pairs(texts.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?))));
    query
        .extend_pairs(times.into_iter().filter_map(|(key, value)| Some((key, value?.to_string()))));
    // a page of the LRS has at most 100 statements
    query.append_pair("limit", &(if args.all { 100 } else { args.limit.min(100) }).to_string());
    // Ralph treats every value as true, even `false`
    if args.ascending {
        query.append_pair("ascending", "true");
    }
    query.finish()
}

struct Pages {
    ralph: Ralph,
    next: Option<Cursor>,
    remaining: u64,
}

impl Pages {
    async fn next(&mut self) -> Result<Option<Vec<Box<RawValue>>>> {
        let Some(cursor) = self.next.take().filter(|_| self.remaining > 0) else {
            return Ok(None);
        };
        let (mut statements, next) = self.ralph.page(&cursor).await?;
        statements.truncate(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        self.remaining -= statements.len() as u64;
        self.next = next;
        Ok(Some(statements))
    }
}

/// The fields of a statement that a row shows, each parsed separately.
#[derive(Default, Deserialize)]
struct Row<'a> {
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, default)]
    actor: Option<&'a RawValue>,
    #[serde(borrow, default)]
    verb: Option<&'a RawValue>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
}

/// The maximum number of characters in a cell.
const CELL: usize = 80;

/// Renders one row per statement. A field that cannot be parsed affects only its cell.
fn render(statements: &[Box<RawValue>]) -> Table {
    let rows = statements.iter().map(|statement| {
        let row: Row<'_> = serde_json::from_str(statement.get()).unwrap_or_default();
        let cell = |raw: Option<&RawValue>, render: &dyn Fn(&Value) -> String| {
            let Some(raw) = raw else { return String::new() };
            match serde_json::from_str(raw.get()) {
                Ok(value) => text::excerpt(&render(&value), CELL),
                Err(_) => "(unreadable)".into(),
            }
        };
        [
            cell(row.timestamp, &time_of),
            cell(row.actor, &actor_name),
            cell(row.verb, &|verb| name_of(verb, "/display")),
            cell(row.object, &|object| name_of(object, "/definition/name")),
        ]
    });
    table(["TIME", "ACTOR", "VERB", "OBJECT"], rows)
}

fn time_of(timestamp: &Value) -> String {
    let text = timestamp.as_str().unwrap_or_default();
    text.parse::<jiff::Timestamp>()
        .map_or_else(|_| text.to_string(), |time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// The name and the identifier of an agent.
fn actor_name(actor: &Value) -> String {
    let known = [
        actor["account"]["name"].as_str(),
        actor["mbox"].as_str(),
        actor["openid"].as_str(),
        actor["mbox_sha1sum"].as_str(),
    ];
    let id = known.into_iter().flatten().next().unwrap_or_default();
    match actor["name"].as_str().filter(|name| *name != id) {
        Some(name) if !id.is_empty() => format!("{name} ({id})"),
        Some(name) => name.to_string(),
        None => id.to_string(),
    }
}

/// The name in any language, or else the end of the IRI.
fn name_of(field: &Value, names: &str) -> String {
    let name = field
        .pointer(names)
        .and_then(Value::as_object)
        .and_then(|names| names.values().next()?.as_str());
    let id = field["id"].as_str().unwrap_or_default();
    name.unwrap_or_else(|| id.rsplit('/').next().unwrap_or(id)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agent_is_parsed_from_each_form() {
        assert_eq!(agent("a@example.org").unwrap(), r#"{"mbox":"mailto:a@example.org"}"#);
        assert_eq!(
            agent("3,http://localhost:8080").unwrap(),
            r#"{"account":{"homePage":"http://localhost:8080","name":"3"}}"#
        );
        assert_eq!(
            agent("Doe, Jane,https://moodle.example.org/a,b").unwrap(),
            r#"{"account":{"homePage":"https://moodle.example.org/a,b","name":"Doe, Jane"}}"#
        );
        assert_eq!(
            agent(r#"{"openid": "http://a.example.org"}"#).unwrap(),
            r#"{"openid":"http://a.example.org"}"#
        );
        assert!(agent("ada").is_err() && agent("{broken").is_err());
    }

    #[test]
    fn row_shows_names_and_falls_back_to_identifiers() {
        let statement = json!({"timestamp": "2026-03-01T08:00:00.000Z", "actor": {"name": "Ada", "account": {"name": "3", "homePage": "http://m"}},
            "verb": {"id": "http://id.tincanapi.com/verb/viewed"}, "object": {"id": "http://m/c?id=2", "definition": {"name": {"en": "Chemistry  1"}}}});
        let raw = serde_json::value::to_raw_value(&statement).unwrap();
        let text = render(&[raw]).to_string();
        assert!(
            text.ends_with("2026-03-01 08:00:00Z   Ada (3)   viewed   Chemistry 1\n"),
            "{text}"
        );
    }

    #[test]
    fn table_of_deep_or_long_values_shows_every_row() {
        let raw = |text: String| RawValue::from_string(text).unwrap();
        let deep = format!(
            r#"{{"actor":{{"name":"Ada"}},"verb":{}1{}}}"#,
            "[".repeat(500),
            "]".repeat(500)
        );
        let long = format!(r#"{{"actor":{{"name":"Bob"}},"result":{}}}"#, "9".repeat(5000));
        let text = render(&[raw(deep), raw(long)]).to_string();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("Ada") && text.contains("Bob") && text.contains("(unreadable)"));
    }

    #[test]
    fn table_of_hostile_names_has_one_short_row_per_statement() {
        let cases = include_str!("../../tests/fixtures/escapes.ndjson");
        let statements: Vec<_> =
            cases.lines().map(|line| RawValue::from_string(line.into()).unwrap()).collect();
        let text = render(&statements).to_string();
        assert_eq!(text.lines().count(), 1 + statements.len(), "{text}");
        let is_bad = |c: char| c != '\n' && !text::is_harmless(c);
        assert!(!text.contains(is_bad), "{text:?}");
        assert!(text.lines().all(|line| line.chars().count() < 4 * CELL), "{text}");
    }
}
