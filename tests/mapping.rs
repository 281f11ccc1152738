//! Checks of the index mapping that need no Elasticsearch. See docs/concepts/mapping.md.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Map, Value};

const INDEX: &str = include_str!("../manifests/statements.json");
const HOSTILE: &str = include_str!("fixtures/hostile-statements.ndjson");

fn mappings() -> Value {
    serde_json::from_str::<Value>(INDEX).unwrap()["mappings"].take()
}

fn fields() -> Map<String, Value> {
    let fields = mappings()["properties"].as_object().unwrap().clone();
    assert!(!fields.is_empty(), "the mapping should have fields");
    fields
}

#[test]
fn mapping_accepts_any_value_in_any_field() {
    let mappings = mappings();
    assert_eq!(mappings["subobjects"], false);
    assert_eq!(
        mappings["dynamic"], "runtime",
        "Elasticsearch parses objects in arrays, such as parents, only where fields may be added"
    );
    let settings = &serde_json::from_str::<Value>(INDEX).unwrap()["settings"];
    assert_eq!(settings["index.mapping.ignore_malformed"], true);
    assert_eq!(
        settings["index.mapping.ignore_above"], 8191,
        "32,766 bytes at four bytes per character"
    );
    for (name, field) in fields() {
        assert!(field.get("copy_to").is_none(), "{name}: copy_to rejects objects");
        let kind = field["type"].as_str().unwrap();
        assert!(
            ["keyword", "date", "double", "integer", "boolean", "alias"].contains(&kind),
            "{name}: type {kind} cannot be a column"
        );
    }
}

#[test]
fn mapping_has_the_fields_that_ralph_filters_on() {
    let mut names = vec!["verb.id".to_string(), "object.id".to_string()];
    for whose in ["actor", "authority"] {
        names.extend(
            ["mbox", "mbox_sha1sum", "openid", "account.name", "account.homePage"]
                .map(|name| format!("{whose}.{name}")),
        );
    }
    for name in names {
        assert_eq!(fields()[&name]["fields"]["keyword"]["type"], "keyword", "{name}.keyword");
    }
    assert_eq!(fields()["timestamp"]["type"], "date");
    assert!(
        fields()["timestamp"]["format"].as_str().unwrap().contains("epoch_millis"),
        "Ralph pages by this number"
    );
}

#[test]
fn mapping_aliases_point_to_fields_and_never_collide_with_xapi_keys() {
    let fields = fields();
    let aliases: Vec<_> = fields.iter().filter(|(_, field)| field["type"] == "alias").collect();
    assert!(!aliases.is_empty(), "the mapping should have aliases");
    for (name, field) in aliases {
        let path = field["path"].as_str().unwrap();
        assert!(
            fields.get(path).is_some_and(|target| target["type"] != "alias"),
            "{name}: {path} is not mapped"
        );
        assert!(
            name.starts_with("la_"),
            "{name}: Elasticsearch rejects a statement with this top-level key"
        );
    }
}

/// The keys that the test reads. Some statements are nested too deeply for `serde_json::Value`.
#[derive(Deserialize)]
struct Head {
    id: String,
    actor: Actor,
}

#[derive(Deserialize)]
struct Actor {
    name: String,
}

#[test]
fn hostile_statements_have_one_line_and_a_unique_id_each() {
    let mut ids = HashSet::new();
    for line in HOSTILE.lines() {
        let head: Head =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:.80}"));
        assert!(!head.actor.name.is_empty(), "{line:.80}");
        assert!(ids.insert(head.id), "the id of \"{}\" should be unique", head.actor.name);
    }
    assert_eq!(ids.len(), 197);
}
