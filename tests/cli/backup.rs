//! Backups without a cluster: list, verify and prune, and the faults of a location.

use std::fs;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::machine::Machine;
use crate::support::server::{Reply, Server};

const CONTENT: &[u8] = b"{\"id\":\"a\"}\n";

fn manifest(namespace: &str, name: &str) -> Value {
    let sha256 = HEXLOWER.encode(&Sha256::digest(CONTENT));
    json!({
        "format": 1, "name": name, "begun": "2026-11-29T09:30:00Z", "finished": "2026-11-29T09:31:00Z",
        "program": "0.1.0", "namespace": namespace, "siteUrl": null, "settings": {}, "versions": {"lrs": "5.0.1"},
        "until": null, "leftOut": [{"what": "passwords and keys", "reason": "no recipient"}],
        "parts": [{
            "id": "datalake.statements", "isComplete": true, "statements": [1],
            "files": [{"name": "statements/000001.ndjson.gz", "bytes": CONTENT.len(), "sha256": sha256}],
        }],
    })
}

/// Writes a complete backup of a namespace into the directory `backups`.
fn put(machine: &Machine, namespace: &str, day: u8) -> String {
    let name = format!("{namespace}-202611{day:02}T093000Z");
    let mut manifest = manifest(namespace, &name);
    manifest["begun"] = format!("2026-11-{day:02}T09:30:00Z").into();
    machine.write(&format!("backups/{name}/statements/000001.ndjson.gz"), CONTENT);
    machine.write(&format!("backups/{name}/manifest.json"), manifest.to_string());
    name
}

#[test]
fn list_shows_complete_incomplete_and_damaged_backups() {
    let machine = Machine::new();
    let name = put(&machine, "alice", 28);
    let progress = manifest("alice", "alice-20261129T093000Z").to_string();
    machine.write("backups/alice-20261129T093000Z/progress.json", progress);
    machine.write("backups/bob-20261129T093000Z/manifest.json", "{\"format\": 1, \"na");
    machine.write("backups/other/file", "");
    let ended = machine.run("backup list backups");
    ended.exits(0).prints("complete").prints("incomplete").prints("damaged: ").never_shows("other");
    machine.run("backup list backups -o name").exits(0).prints(&name).never_shows("bob");
    let list = machine.run("backup list backups -o json").json();
    let states: Vec<&str> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["damaged", "complete", "incomplete"]);
    assert_eq!(list["items"][1]["leftOut"][0]["what"], "passwords and keys");
}

#[test]
fn verify_names_each_damage() {
    type Damage = fn(&Machine, &str);
    let damages: [(&str, Damage); 5] = [
        ("the file is missing", |machine, folder| {
            fs::remove_file(machine.path(&format!("{folder}/statements/000001.ndjson.gz")))
                .unwrap();
        }),
        ("9 bytes instead of 11", |machine, folder| {
            machine.write(&format!("{folder}/statements/000001.ndjson.gz"), &CONTENT[2..]);
        }),
        ("its checksum differs from the manifest", |machine, folder| {
            machine.write(&format!("{folder}/statements/000001.ndjson.gz"), "{\"id\":\"b\"}\n");
        }),
        ("a newer version of kubectl-lastack wrote this backup", |machine, folder| {
            machine.write(&format!("{folder}/manifest.json"), "{\"format\": 2}");
        }),
        ("`../../etc/passwd` is not a file of a backup", |machine, folder| {
            let mut manifest = manifest("alice", "x");
            manifest["parts"][0]["files"][0]["name"] = "../../etc/passwd".into();
            machine.write(&format!("{folder}/manifest.json"), manifest.to_string());
        }),
    ];
    for (text, damage) in damages {
        let machine = Machine::new();
        let name = put(&machine, "alice", 28);
        machine.run("backup verify backups").exits(0).prints("1 file, 11 B, as in the manifest");
        damage(&machine, &format!("backups/{name}"));
        machine.run(&format!("backup verify backups --backup {name}")).exits(1).says(text);
    }
}

#[test]
fn backup_is_chosen_by_its_name_its_folder_or_its_age() {
    let machine = Machine::new();
    let old = put(&machine, "alice", 27);
    let new = put(&machine, "alice", 28);
    machine.run("backup verify backups").exits(0).prints(&format!("{new}: "));
    machine.run(&format!("backup verify backups/{old}")).exits(0).prints(&format!("{old}: "));
    machine
        .run("backup verify backups --backup alice-20260101T000000Z")
        .exits(1)
        .says("no complete backup alice-20260101T000000Z")
        .says("hint: list the backups: kubectl lastack backup list backups");
    put(&machine, "bob", 29);
    machine
        .run("backup verify backups")
        .exits(2)
        .says("backups of several namespaces")
        .says("--backup bob-");
    machine.run("backup verify absent").exits(2).says("absent is not a directory");
}

#[test]
fn prune_keeps_the_newest_backups_of_each_namespace() {
    let machine = Machine::new();
    let names = [26, 27, 28].map(|day| put(&machine, "alice", day));
    let other = put(&machine, "bob", 20);
    let mut progress = manifest("alice", "alice-20261101T093000Z");
    progress["begun"] = "2026-11-01T09:30:00Z".into();
    let progress = progress.to_string();
    machine.write("backups/alice-20261101T093000Z/progress.json", progress);
    let list = format!("alice-20261101T093000Z\n{}\n", names[0]);
    machine.run("backup prune backups --keep 2 --dry-run").exits(0).prints(&names[0]);
    machine.run("backup prune backups --keep 2").exits(2).says("nothing was deleted");
    machine.run("backup prune backups --keep 2 --yes").exits(0).says("Deleted 2 backups");
    for name in list.lines() {
        assert!(!machine.path(&format!("backups/{name}")).exists(), "{name} should be deleted");
    }
    for name in [&names[1], &names[2], &other] {
        machine.run(&format!("backup verify backups --backup {name}")).exits(0);
    }
    machine.run("backup prune backups --keep 2 --yes").exits(0).says("No backups to delete");
    machine.run("backup prune backups --keep 0").exits(2).says("0 is not in 1..");
}

#[test]
fn location_that_cannot_be_used_is_named() {
    let machine = Machine::new();
    machine.run("backup list gs://bucket").exits(2).says("`gs://` is not supported");
    machine
        .run("backup backups --recipient age1x")
        .exits(2)
        .says("expected a public key such as age1");
}

fn with_storage(reply: Reply) -> (Server, Machine) {
    let server = Server::start(move |_| reply.clone());
    let machine = Machine::new()
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "secret-of-the-storage")
        .env("AWS_REGION", "here")
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_ENDPOINT_URL", server.url());
    (server, machine)
}

#[test]
fn rejection_by_an_object_storage_is_shown_with_its_reason() {
    let body = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Access denied.</Message></Error>";
    let (_server, machine) = with_storage(Reply::text(403, body));
    machine
        .run("backup list s3://bucket/here")
        .exits(1)
        .says("error: s3://bucket/here: the object storage responded with 403 Forbidden: Access denied\n")
        .says("hint: check the bucket, its permissions, and AWS_ACCESS_KEY_ID")
        .never_shows("secret-of-the-storage")
        .never_shows("<Code>");
}

#[test]
fn failing_object_storage_is_tried_again_before_its_error() {
    let (server, machine) = with_storage(Reply::text(500, "InternalError"));
    machine
        .run("backup list s3://bucket/here")
        .exits(1)
        .says("the object storage responded with 500 Internal Server Error")
        .says("hint: repeat the command to continue");
    assert!(server.requests().len() > 3, "a server error may be transient");
}

#[test]
fn unencrypted_object_storage_requires_consent() {
    let (server, machine) = with_storage(Reply::text(200, ""));
    let machine = machine.env("AWS_ALLOW_HTTP", "false");
    machine.run("backup list s3://bucket").exits(1).says("set AWS_ALLOW_HTTP=true to allow it");
    assert_eq!(server.requests().len(), 0);
}
