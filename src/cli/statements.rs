use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::cluster::flags::KubeFlags;
use crate::components::lrs;
use crate::components::lrs::client::{Place, Ralph};
use crate::output::printer;
use crate::output::table::table;
use crate::output::text;

use super::{Outcome, open};

/// Show statements of the LRS, the newest first
#[derive(Debug, Args)]
pub struct StatementsArgs {
    /// Who did it: an e-mail address, NAME,HOMEPAGE of an account, or an agent as JSON
    #[arg(long, value_name = "AGENT", value_parser = agent)]
    agent: Option<String>,
    /// What was done: the IRI of a verb
    #[arg(long, value_name = "IRI", value_parser = iri)]
    verb: Option<String>,
    /// With what: the IRI of an activity
    #[arg(long, value_name = "IRI", value_parser = iri)]
    activity: Option<String>,
    /// Only what happened after this time, such as 2026-03-01T08:00:00Z, or so long ago, such as 2h
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<jiff::Timestamp>,
    /// Only what happened until this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<jiff::Timestamp>,
    /// How many to show
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,
    /// All that there are, page by page
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// The oldest first
    #[arg(long)]
    ascending: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    /// A statement a line, as the LRS has it
    Ndjson,
}

fn agent(text: &str) -> Result<String, String> {
    if text.starts_with('{') {
        let agent: Value =
            serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        return Ok(agent.to_string());
    }
    let agent =
        match text.split_once(',') {
            Some((name, home)) if home.contains("://") => {
                json!({"account": {"name": name, "homePage": home}})
            }
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

/// A time, or how long ago it was.
fn time(text: &str) -> Result<jiff::Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = text
        .parse::<jiff::SignedDuration>()
        .map_err(|_| "expected a time such as 2026-03-01T08:00:00Z, or a duration such as 2h")?;
    jiff::Timestamp::now().checked_sub(ago).map_err(|error| error.to_string())
}

pub async fn run(flags: &KubeFlags, args: StatementsArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let ralph = lrs::client(&stack).await?;
    let mut pages = Pages {
        ralph,
        next: Some(Place::Query(query(&args))),
        left: if args.all { u64::MAX } else { args.limit },
    };
    if args.output == Format::Ndjson {
        while let Some(page) = pages.next().await? {
            let lines: String =
                page.iter().map(|statement| format!("{}\n", statement.get())).collect();
            if printer::more_data(&lines)?.is_break() {
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
        Format::Json => printer::json(
            &json!({"apiVersion": "lastack/v1", "kind": "Statements", "items": found}),
        )?,
        _ if found.is_empty() => printer::note("The LRS has no such statement"),
        _ => printer::data(&render(&found)?)?,
    }
    Ok(Outcome::Good)
}

fn query(args: &StatementsArgs) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let texts = [("agent", &args.agent), ("verb", &args.verb), ("activity", &args.activity)];
    let times = [("since", args.since), ("until", args.until)];
    query.extend_pairs(texts.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?))));
    query
        .extend_pairs(times.into_iter().filter_map(|(key, value)| Some((key, value?.to_string()))));
    // the LRS gives a hundred at most, whatever is asked for
    query.append_pair("limit", &(if args.all { 100 } else { args.limit.min(100) }).to_string());
    // Ralph takes any text for yes, `false` too
    if args.ascending {
        query.append_pair("ascending", "true");
    }
    query.finish()
}

struct Pages {
    ralph: Ralph,
    next: Option<Place>,
    left: u64,
}

impl Pages {
    async fn next(&mut self) -> Result<Option<Vec<Box<RawValue>>>> {
        let Some(place) = self.next.take().filter(|_| self.left > 0) else { return Ok(None) };
        let (mut statements, next) = self.ralph.page(&place).await?;
        statements.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= statements.len() as u64;
        self.next = next;
        Ok(Some(statements))
    }
}

fn render(statements: &[Box<RawValue>]) -> Result<String> {
    let mut rows = Vec::new();
    for statement in statements {
        let statement: Value = serde_json::from_str(statement.get())?;
        let time = statement["timestamp"].as_str().unwrap_or_default();
        let time = time.parse::<jiff::Timestamp>().map_or_else(
            |_| time.to_string(),
            |time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        );
        rows.push([
            time,
            who(&statement["actor"]),
            named(&statement["verb"], "/display"),
            named(&statement["object"], "/definition/name"),
        ]);
    }
    Ok(table(["TIME", "ACTOR", "VERB", "OBJECT"], rows))
}

/// The shortest that tells one agent from another.
fn who(actor: &Value) -> String {
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

/// A name in any language, or the end of the IRI.
fn named(part: &Value, names: &str) -> String {
    let name = part
        .pointer(names)
        .and_then(Value::as_object)
        .and_then(|names| names.values().next()?.as_str());
    let id = part["id"].as_str().unwrap_or_default();
    text::one_line(name.unwrap_or_else(|| id.rsplit('/').next().unwrap_or(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_taken_in_the_ways_people_know_it() {
        assert_eq!(agent("a@example.org").unwrap(), r#"{"mbox":"mailto:a@example.org"}"#);
        assert_eq!(
            agent("3,http://localhost:8080").unwrap(),
            r#"{"account":{"homePage":"http://localhost:8080","name":"3"}}"#
        );
        assert_eq!(
            agent(r#"{"openid": "http://a.example.org"}"#).unwrap(),
            r#"{"openid":"http://a.example.org"}"#
        );
        assert!(agent("somebody").is_err() && agent("{broken").is_err());
    }

    #[test]
    fn a_row_shows_names_and_falls_back_to_what_tells_things_apart() {
        let statement = json!({"timestamp": "2026-03-01T08:00:00.000Z", "actor": {"name": "Ada", "account": {"name": "3", "homePage": "http://m"}},
            "verb": {"id": "http://id.tincanapi.com/verb/viewed"}, "object": {"id": "http://m/c?id=2", "definition": {"name": {"en": "Chemistry  1"}}}});
        let raw = serde_json::value::to_raw_value(&statement).unwrap();
        let text = render(&[raw]).unwrap();
        assert!(
            text.ends_with("2026-03-01 08:00:00Z   Ada (3)   viewed   Chemistry 1\n"),
            "{text}"
        );
    }
}
