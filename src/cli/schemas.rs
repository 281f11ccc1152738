//! The schemas of the JSON documents, and what shows them: `docs/reference/schema/`, `docs/reference/json.md`, and the fields
//! in the help of the verbs.
//!
//! `SNAPSHOTS=overwrite cargo test --lib schemas` rewrites them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};
use snapbox::{Data, assert_data_eq};

use crate::output::document::{API_VERSION, Content};

use super::{
    backfill, backup, check, coverage, creds, dashboards, journal, logs, plan, reconcile, replay,
    seed, sources, statements, status, upgrade,
};
use super::{trace, uninstall, version};

/// A kind of document.
struct Kind {
    name: &'static str,
    /// The commands that print it.
    commands: &'static [&'static str],
    schema: Value,
}

impl Kind {
    fn of<C: Content + JsonSchema>(commands: &'static [&'static str]) -> Self {
        let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
            settings.inline_subschemas = true;
        });
        let mut schema = SchemaGenerator::new(settings).into_root_schema_for::<C>().to_value();
        schema["title"] = C::KIND.into();
        schema["properties"]["apiVersion"] = json!({"const": API_VERSION});
        schema["properties"]["kind"] = json!({"const": C::KIND});
        let required = schema["required"].as_array_mut().expect("required fields");
        required.splice(0..0, ["apiVersion", "kind"].map(Value::from));
        Self { name: C::KIND, commands, schema }
    }

    /// The fields by their paths, without those of every document.
    fn fields(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        collect(&self.schema, "", &mut fields);
        fields.retain(|field| !["apiVersion", "kind"].contains(&field.path.as_str()));
        fields
    }
}

fn kinds() -> Vec<Kind> {
    vec![
        Kind::of::<status::Status<'_>>(&["status -o json"]),
        Kind::of::<check::CheckReport<'_>>(&["check -o json"]),
        Kind::of::<journal::EventReport<'_>>(CHANGING),
        Kind::of::<journal::SummaryReport<'_>>(CHANGING),
        Kind::of::<plan::Plan<'_>>(&["install --dry-run -o json"]),
        Kind::of::<upgrade::UpgradePlan<'_>>(&["upgrade --dry-run -o json"]),
        Kind::of::<uninstall::DeletionPlan<'_>>(&["uninstall --dry-run -o json"]),
        Kind::of::<logs::LogLine<'_>>(&["logs -o json"]),
        Kind::of::<creds::Credentials<'_>>(&["creds -o json"]),
        Kind::of::<sources::list::SourceList>(&["sources list -o json"]),
        Kind::of::<sources::show::SourceAccount<'_>>(&["sources show -o json"]),
        Kind::of::<seed::report::SeedReport>(&["seed -o json"]),
        Kind::of::<statements::Statements<'_>>(&["statements -o json"]),
        Kind::of::<trace::TraceReport<'_>>(&["trace -o json"]),
        Kind::of::<replay::Replay<'_>>(&["replay -o json"]),
        Kind::of::<backfill::Backfill>(&["backfill -o json"]),
        Kind::of::<reconcile::Reconciliation>(&["reconcile -o json"]),
        Kind::of::<coverage::Coverage>(&["coverage -o json"]),
        Kind::of::<dashboards::list::DashboardList>(&["dashboards list -o json"]),
        Kind::of::<dashboards::check::ChartCheck<'_>>(&["dashboards check -o json"]),
        Kind::of::<dashboards::explain::ChartExplanation<'_>>(&["dashboards explain -o json"]),
        Kind::of::<backup::list::BackupList<'_>>(&["backup list -o json"]),
        Kind::of::<version::Version<'_>>(&["version -o json"]),
    ]
}

const CHANGING: &[&str] = &[
    "install -o json",
    "configure -o json",
    "uninstall -o json",
    "pause -o json",
    "resume -o json",
    "backup -o json",
    "restore -o json",
    "upgrade -o json",
    "rollback -o json",
];

/// A field, by the path that leads to it: `components[].runs.state`.
struct Field {
    path: String,
    types: String,
    /// Empty for an object or array whose own fields say all.
    meaning: String,
}

/// Appends the fields of an object, and of the objects in them.
fn collect(schema: &Value, parent: &str, fields: &mut Vec<Field>) {
    for variant in ["anyOf", "oneOf"] {
        for each in schema[variant].as_array().into_iter().flatten() {
            collect(each, parent, fields);
        }
    }
    let join = |name: &str| match parent {
        "" => name.to_string(),
        parent => format!("{parent}.{name}"),
    };
    for (name, field) in properties(schema) {
        let path = join(name);
        let meaning = [values(field), field["description"].as_str().map(one_line)];
        let meaning: Vec<String> = meaning.into_iter().flatten().collect();
        let inner = if is_array(field) { format!("{path}[]") } else { path.clone() };
        fields.push(Field { path, types: types(field), meaning: meaning.join(". ") });
        collect(if is_array(field) { &field["items"] } else { field }, &inner, fields);
    }
    if schema["additionalProperties"]["properties"].is_object() {
        collect(&schema["additionalProperties"], &join("NAME"), fields);
    }
}

/// The properties in the order of the document, which `required` keeps; optional ones last.
fn properties(schema: &Value) -> Vec<(&String, &Value)> {
    let order: Vec<&Value> = schema["required"].as_array().into_iter().flatten().collect();
    let mut found: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
    let position = |name: &str| order.iter().position(|other| *other == name);
    found.sort_by_key(|(name, _)| position(name).unwrap_or(usize::MAX));
    found
}

fn is_array(schema: &Value) -> bool {
    types(schema).contains("array")
}

/// The types of a value, such as `string or null`.
fn types(schema: &Value) -> String {
    let mut found: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let variants = ["anyOf", "oneOf"].into_iter().flat_map(|name| schema[name].as_array());
    let inner: Vec<String> = variants.flatten().map(types).collect();
    found.extend(inner.iter().flat_map(|types| types.split(" or ")));
    let mut distinct: Vec<&str> = Vec::new();
    for each in found {
        let each = if each == "integer" { "number" } else { each };
        if !each.is_empty() && !distinct.contains(&each) {
            distinct.push(each);
        }
    }
    distinct.join(" or ")
}

/// The values of an enumeration.
fn values(schema: &Value) -> Option<String> {
    let values = schema["enum"].as_array()?.iter().filter_map(Value::as_str);
    let values: Vec<String> = values.map(|value| format!("`{value}`")).collect();
    let (last, others) = values.split_last()?;
    Some(format!("{} or {last}", others.join(", ")))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The fields, with one line for each object.
fn listed(kind: &Kind) -> String {
    let mut objects: Vec<(String, Vec<String>)> = Vec::new();
    for Field { path, .. } in kind.fields() {
        let (object, name) = path.rsplit_once('.').unwrap_or(("", &path));
        match objects.iter_mut().find(|(other, _)| other == object) {
            Some((_, names)) => names.push(name.into()),
            None => objects.push((object.into(), vec![name.into()])),
        }
    }
    let lines = objects.into_iter().map(|(object, names)| match object.as_str() {
        "" => format!("  {}", names.join(", ")),
        object => format!("  {object}: {}", names.join(", ")),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn assert_file(path: &str, content: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    assert_data_eq!(content, Data::read_from(&file, None).raw());
}

#[test]
fn schema_files_describe_the_documents() {
    for kind in kinds() {
        let text = serde_json::to_string_pretty(&kind.schema).unwrap();
        assert_file(&format!("docs/reference/schema/{}.json", kind.name), &format!("{text}\n"));
        jsonschema::meta::validate(&kind.schema).unwrap();
    }
}

#[test]
fn help_of_each_verb_lists_the_fields_of_its_documents() {
    let mut printed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for kind in kinds() {
        assert_file(&format!("src/cli/fields/{}.txt", kind.name), &listed(&kind));
        for command in kind.commands {
            let verb = command.split(" -").next().unwrap_or(command);
            printed.entry(verb).or_default().push(kind.name);
        }
    }
    for (verb, kinds) in printed {
        let words = verb.split(' ');
        let command = words.fold(super::command(), |command, word| {
            command.find_subcommand(word).unwrap_or_else(|| panic!("{verb}")).clone()
        });
        let help = command.get_after_long_help().unwrap().to_string();
        for kind in kinds {
            assert!(help.contains(&format!("JSON fields of {kind}:\n")), "{verb}: {help}");
        }
    }
}

#[test]
fn reference_page_shows_every_field() {
    let mut page = String::from(
        "# JSON documents\n\n\
         <!-- needs: stack -->\n\n\
         `-o json` prints documents with `apiVersion: lastack/v1` and a `kind`. Ignore fields that you do not know. Times are\n\
         RFC 3339 in UTC. A value that is not known is `null`. Each kind has a JSON Schema in [schema](schema).\n\n\
         A field whose meaning is “Text” is for readers, and its content changes between releases. Decide by `state`,\n\
         `result`, `healthy` and numbers.\n\n\
         This page is written by `SNAPSHOTS=overwrite cargo test --lib schemas`.\n\n\
         <!-- run: sandbox -->\n\
         ```console\n\
         $ kubectl lastack status -o json | python3 -c 'import json, sys; print(json.load(sys.stdin)[\"kind\"])'\n\
         Status\n\
         ```\n",
    );
    for kind in kinds() {
        let description = one_line(kind.schema["description"].as_str().expect(kind.name));
        let commands = kind.commands.iter().map(|command| format!("`kubectl lastack {command}`"));
        let commands: Vec<String> = commands.collect();
        writeln!(page, "\n## {}\n\n{description}.\n\n{}\n", kind.name, commands.join(", "))
            .unwrap();
        page.push_str("| field | type | meaning |\n|---|---|---|\n");
        for Field { path, types, meaning } in kind.fields() {
            writeln!(page, "| `{path}` | {types} | {meaning} |").unwrap();
        }
    }
    assert_file("docs/reference/json.md", &page);
}
