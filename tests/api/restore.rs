//! `restore --only statements`: what the data lake stores, and what it does not accept.

use std::io::Write;

use data_encoding::HEXLOWER;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::server::Reply;
use crate::support::stack::MockedStack;

const RESTORE: &str = "restore backups --only statements";
const BULK: &str = "/statements/_bulk";

fn statement(id: &str) -> Value {
    json!({"id": id, "actor": {"name": "Ann"}, "verb": {"id": "http://example.org/did"}, "stored": "2026-11-29T09:30:00Z"})
}

/// A stack, and a backup of these statements.
fn with_backup(statements: &[Value]) -> MockedStack {
    let stack = MockedStack::installed();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    for statement in statements {
        writeln!(encoder, "{statement}").unwrap();
    }
    let file = encoder.finish().unwrap();
    let manifest = json!({
        "format": 1, "name": "x", "begun": "2026-11-29T09:30:00Z", "finished": "2026-11-29T09:31:00Z",
        "program": "0.1.0", "namespace": "bob", "siteUrl": null, "settings": {}, "versions": {},
        "until": null, "leftOut": [],
        "parts": [{
            "id": "datalake.statements", "isComplete": true, "statements": [statements.len()],
            "files": [{
                "name": "statements/000001.ndjson.gz", "bytes": file.len(),
                "sha256": HEXLOWER.encode(&Sha256::digest(&file)),
            }],
        }],
    });
    stack.machine.write("backups/bob-20261129T093000Z/statements/000001.ndjson.gz", file);
    stack.machine.write("backups/bob-20261129T093000Z/manifest.json", manifest.to_string());
    stack
}

#[test]
fn statements_of_a_backup_are_added_once_with_all_their_fields() {
    let statements = ["a", "b"].map(statement);
    let stack = with_backup(&statements);
    for _ in 0..2 {
        stack.machine.run(RESTORE).exits(0).says("2 statements, each verified");
        let stored = stack.lrs.stored();
        assert_eq!((stored.len(), &stored["b"]), (2, &statements[1]));
    }
}

#[test]
fn statement_that_is_stored_with_other_content_is_named() {
    let stack = with_backup(&["a", "b"].map(statement));
    let mut other = statement("b");
    other["actor"]["name"] = "Bob".into();
    stack.lrs.store().lock().unwrap().insert("b".into(), other.clone());
    stack
        .machine
        .run(RESTORE)
        .exits(1)
        .says("1 statement with other content than in the backup, such as b");
    assert_eq!(stack.lrs.stored()["b"], other, "a restore should overwrite nothing");
}

#[test]
fn statement_that_the_data_lake_rejects_is_named() {
    let stack = with_backup(&["a"].map(statement));
    let rejected = json!({"errors": true, "items": [{"create": {"status": 400, "error": {"reason": "failed to parse"}}}]});
    stack.elasticsearch.next(BULK, [Reply::ok(rejected)]);
    stack
        .machine
        .run(RESTORE)
        .exits(1)
        .says("Elasticsearch rejected 1 statement, the first with id a: failed to parse");
}

#[test]
fn busy_data_lake_is_asked_again() {
    let stack = with_backup(&["a"].map(statement));
    let busy = json!({"errors": true, "items": [{"create": {"status": 429, "error": {"reason": "queue is full"}}}]});
    let unavailable = Reply::text(503, "no master");
    stack.elasticsearch.next(BULK, [Reply::ok(busy), unavailable, Reply::Cut]);
    stack.machine.run(RESTORE).exits(0).says("1 statement, each verified");
}

#[test]
fn external_database_is_replaced_only_after_a_confirmation() {
    let stack = MockedStack::empty();
    let settings = "values:\n  dataviz:\n    postgresql: {enabled: false}\n    externalDatabase: {host: db.example.org, existingSecret: db}\n";
    let manifest = json!({
        "format": 1, "name": "x", "begun": "2026-11-29T09:30:00Z", "finished": "2026-11-29T09:31:00Z",
        "program": "0.1.0", "namespace": "bob", "siteUrl": null, "settings": {"lastack.yaml": settings},
        "versions": {}, "until": null, "leftOut": [], "withExternal": true,
        "parts": [{"id": "dataviz.postgresql", "isComplete": true, "files": []}],
    });
    stack.machine.write("backups/bob-20261129T093000Z/manifest.json", manifest.to_string());
    // the namespace is new, and another stack may use the database
    stack
        .machine
        .run("restore backups --external")
        .exits(2)
        .says("replaces the data of the external database db.example.org/superset of Superset")
        .says("nothing was changed");
    stack.machine.run("status").exits(3);
}
