//! Programs outside the stack that send statements with accounts of their own.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::cluster::{Ended, Need, eventually};
use crate::lms::{emit, set, views};
use crate::permissions::account_for;
use crate::stack;

const NAME: &str = "e2e-campus";

fn item(name: &str) -> Value {
    let list = stack().lastack("sources list -o json").good().json();
    let items = list["items"].as_array().expect("sources");
    items.iter().find(|item| item["name"] == name).cloned().unwrap_or_default()
}

/// Sends a statement with an account.
fn send(account: &Value, number: u32) -> Ended {
    let statement = json!({
        "id": format!("00000000-0000-4000-{:04x}-{number:012x}", 0x8000 + std::process::id() % 0x3fff),
        "timestamp": "2026-11-30T12:00:00Z",
        "actor": {"mbox": "mailto:ada@example.org"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"},
        "object": {"id": "https://videos.example.org/1"},
    });
    let text = |value: &Value| value.as_str().expect("text").to_string();
    let login = format!("{}:{}", text(&account["user"]), text(&account["password"]));
    let login = stack().file("source-login.txt", &login);
    let file = stack().file("source.ndjson", &format!("{statement}\n"));
    stack().lastack(&format!(
        "seed {} --endpoint {} --credentials {}",
        file.display(),
        text(&account["endpoint"]),
        login.display()
    ))
}

/// A search finds a new statement after at most a second. A rotation keeps the authority, so the number grows.
fn arrived(statements: u64) {
    eventually("the statements are counted", || item(NAME)["statements"] == statements);
}

/// Waits until the LRS rejects an account. A Pod that is being replaced still responds for a few seconds.
fn rejected(account: &Value) {
    eventually("the account is rejected", || {
        let ended = send(account, 1);
        ended.stderr.contains("401") && !ended.status.success()
    });
}

fn shown() -> Value {
    stack().lastack(&format!("sources show {NAME} -o json")).good().json()
}

#[test]
fn source_sends_with_its_own_account_until_it_is_removed() {
    if Need::LoadBalancer.is_missing() {
        return;
    }
    // a failed run may have left it
    stack().lastack(&format!("sources remove {NAME} --yes"));
    let user = account_for("sources-add", stack());
    stack().lastack(&format!("sources add {NAME} --kind moodle {user}")).good();
    let first = shown();
    let before = item(NAME)["statements"].as_u64().unwrap_or_default();
    let mut traced = stack().start(&format!("trace --source {NAME} -o json"));
    let mut lines = BufReader::new(traced.stderr.take().expect("a pipe")).lines();
    lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("waiting for the next")));
    send(&first, 1).good();
    let traced = Ended::of("trace", traced);
    traced.good().shows("counts it");
    arrived(before + 1);

    // both accounts are valid during a rotation, and only the new one after it
    stack().lastack(&format!("sources rotate {NAME}")).good();
    let second = shown();
    send(&first, 2).good();
    send(&second, 3).good();
    arrived(before + 3);
    stack().lastack(&format!("sources rotate {NAME} --finish")).good();
    rejected(&first);
    send(&second, 4).good();

    stack().lastack(&format!("sources disable {NAME}")).good();
    rejected(&second);
    stack().lastack(&format!("sources enable {NAME}")).good();
    // a Moodle with the settings that `sources show` prints
    let text = |value: &Value| value.as_str().expect("text").to_string();
    set("logstore_xapi", "username", &text(&second["user"]));
    set("logstore_xapi", "password", &text(&second["password"]));
    views("lastack-S", 2);
    emit();
    arrived(before + 6);
    stack().lastack("configure lms").good();

    stack().lastack(&format!("sources remove {NAME} --yes")).good();
    rejected(&second);
    let left = item(NAME);
    assert_eq!(left["state"], "other", "statements of a removed source remain");
    stack().lastack("check").good();
}
