//! Sources: the accounts of other programs that send statements.

use serde_json::{Value, json};

use crate::support::stack::MockedStack;

use super::install::secret;

/// The user names and the scopes in Ralph's accounts file.
fn accounts(stack: &MockedStack) -> Vec<(String, Value)> {
    let accounts: Vec<Value> =
        serde_json::from_str(&secret(stack, "lrs-ralph")["auth.json"]).unwrap();
    let account =
        |one: &Value| (one["username"].as_str().unwrap().to_string(), one["scopes"].clone());
    accounts.iter().map(account).collect()
}

fn users(stack: &MockedStack) -> Vec<String> {
    accounts(stack).into_iter().map(|(user, _)| user).collect()
}

#[test]
fn source_has_an_account_of_its_own_until_it_is_removed() {
    let stack = MockedStack::installed();
    stack
        .machine
        .run("sources add campus --kind moodle")
        .exits(0)
        .prints("logstore_xapi/endpoint ")
        .prints("logstore_xapi/username ")
        .prints("(hidden)")
        .says("only Pods of the cluster reach the LRS")
        .says("kubectl lastack sources show campus");
    assert_eq!(users(&stack), ["admin", "moodle", "campus"]);
    assert_eq!(accounts(&stack)[2].1, json!(["statements/write", "statements/read/mine"]));
    let shown = stack.machine.run("sources show campus -o json").exits(0).json();
    assert_eq!([&shown["user"], &shown["type"]], ["campus", "moodle"]);
    let password = shown["password"].as_str().unwrap().to_string();
    assert_eq!(password.len(), 24);

    // the same command completes what was interrupted, and replaces no password
    stack.machine.run("sources add campus --kind moodle").exits(0).says("Source `campus` exists");
    let again = stack.machine.run("sources show campus -o json").exits(0).json();
    assert_eq!(again["password"].as_str(), Some(&*password));
    stack
        .machine
        .run("sources list")
        .exits(0)
        .prints("part of the stack")
        .prints("enabled")
        .never_shows(&password);

    stack.machine.run("sources disable campus").exits(0).says("rejects source `campus`");
    assert_eq!(users(&stack), ["admin", "moodle"]);
    stack.machine.run("sources list").exits(0).prints("disabled");
    stack.machine.run("sources enable campus").exits(0);
    assert_eq!(users(&stack), ["admin", "moodle", "campus"]);
    stack.machine.run("sources remove campus").exits(2).says("pass `--yes`");
    stack.machine.run("sources remove campus --yes").exits(0).says("its statements remain");
    assert_eq!(users(&stack), ["admin", "moodle"]);
    stack.machine.run("install --dry-run").exits(0).says("No changes");
    stack
        .machine
        .run("sources show campus")
        .exits(1)
        .says("there is no source `campus`")
        .says("hint: list the sources: kubectl lastack sources list");
}

#[test]
fn rotation_of_a_source_keeps_both_accounts_until_it_is_finished() {
    let stack = MockedStack::installed();
    stack.machine.run("sources add campus").exits(0);
    let before = stack.machine.run("sources show campus -o json").exits(0).json();
    stack
        .machine
        .run("sources rotate campus")
        .exits(0)
        .prints("campus.2")
        .says("User `campus` is valid too until `kubectl lastack sources rotate campus --finish");
    assert_eq!(users(&stack), ["admin", "moodle", "campus.2", "campus"]);
    let after = stack.machine.run("sources show campus -o json").exits(0).json();
    assert_ne!(before["password"], after["password"]);
    stack.machine.run("sources list").exits(0).prints("rotating");
    stack.machine.run("sources rotate campus --finish").exits(0).says("Only user `campus.2`");
    assert_eq!(users(&stack), ["admin", "moodle", "campus.2"]);
    stack.machine.run("install").exits(0);
    assert_eq!(users(&stack), ["admin", "moodle", "campus.2"], "an install should change nothing");
}

#[test]
fn name_of_a_source_is_checked_before_anything_changes() {
    let stack = MockedStack::installed();
    for (name, says) in [
        ("admin", "`admin` is an account of the stack itself"),
        ("Campus", "lower case letters, digits and `-`"),
        ("a.b", "lower case letters, digits and `-`"),
    ] {
        stack.machine.run(&format!("sources add {name}")).exits(2).says(says);
    }
    assert_eq!(users(&stack), ["admin", "moodle"]);
}
