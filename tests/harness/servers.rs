//! The other stand-ins against recordings of the real servers.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::recording::{Asked, Recording};
use crate::support::elasticsearch::Elasticsearch;
use crate::support::helm::Helm;
use crate::support::lrs::{self, Lrs};
use crate::support::machine::Machine;
use crate::support::moodle::Moodle;
use crate::support::superset::Superset;

/// A statement in the recording of the LRS.
fn statement(number: usize) -> Value {
    json!({
        "id": format!("00000000-0000-4000-8000-{number:012}"),
        "timestamp": "2026-03-02T08:00:00.000Z",
        "actor": {"mbox": format!("mailto:learner-{number}@example.org")},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"},
        "object": {"id": "https://example.org/recordings"},
    })
}

#[test]
fn lrs_replies_as_in_the_recording_of_ralph() {
    let lrs = Lrs::start();
    lrs.finds_invalid("00000000-0000-4000-8000-000000000095");
    Recording::load("lrs").replay(&lrs::authorization(), |request| lrs.server.ask(request));
}

#[test]
fn elasticsearch_replies_as_in_the_recording() {
    let lrs = Lrs::open();
    lrs.has(&[91, 92, 93].map(statement));
    let elasticsearch = Elasticsearch::start("recordings", lrs.store());
    elasticsearch.has_index(json!({"mappings": {}, "settings": {}}));
    Recording::load("elasticsearch")
        .replay("Basic c2FtZQ==", |request| elasticsearch.server.ask(request));
}

#[test]
fn superset_replies_as_in_the_recording() {
    let uuid = |number: u32| format!("00000000-0000-4000-8000-{number:012}");
    let superset = Superset::start();
    superset.rejects_password("wrong");
    superset
        .user_creates("databases", json!({"uuid": uuid(1), "database_name": "Data lake",
            "sqlalchemy_uri": "elasticsearch+https://dashboards@data-lake-es-http:9200/?verify_certs=True",
            "extra": {}, "allow_csv_upload": false}))
        .user_creates("datasets", json!({"uuid": uuid(2), "table_name": "statements", "database_uuid": uuid(1)}))
        .user_creates("charts", json!({"uuid": uuid(3), "slice_name": "Learners", "dataset_uuid": uuid(2),
            "viz_type": "big_number_total", "params": {}}))
        .user_creates("dashboards", json!({"uuid": uuid(4), "dashboard_title": "Is the course alive?", "slug": "alive"}));
    Recording::load("superset").replay("", |request| superset.server.ask(request));
}

#[test]
fn moodle_scripts_print_as_in_the_recording() {
    let moodle = Moodle::start();
    moodle.world().courses.push("lastack-S".into());
    let scripts = moodle.scripts();
    Recording::load("moodle").replay_commands(|asked| {
        let ended = scripts(&asked.command, asked.input.as_bytes());
        (ended.code, ended.stdout, ended.stderr)
    });
}

#[test]
fn helm_keeps_release_states_as_in_the_recording() {
    let machine = Machine::new();
    let _helm = Helm::on(&machine);
    let run = |asked: &Asked| {
        let mut command = Command::new(machine.path("bin/helm"));
        command.args(&asked.command[1..]).env_clear().stdin(Stdio::null());
        let output = command.output().expect("the script runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
    };
    Recording::load("helm/releases").replay_commands(run);
}
