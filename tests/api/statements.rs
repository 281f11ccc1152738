//! `statements` with statements that are hard to read, and `statements delete`.

use serde_json::json;

use crate::support::lrs::HALF_PAIR;
use crate::support::server::Reply;
use crate::support::stack::MockedStack;
use crate::support::statements::{id, statement, statements};

#[test]
fn statements_as_json_prints_deep_and_long_values_unchanged() {
    let stack = MockedStack::installed();
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let (long, delete) = ("9".repeat(3000), '\u{7f}');
    let text = format!(
        r#"{{"id":"a","deep":{deep},"long":{long},"float":0.30000000000000000001,"text":"x{delete}"}}"#
    );
    stack.lrs.always(Reply::text(200, format!(r#"{{"statements":[{text}]}}"#)));
    stack.machine.run("statements -o json").exits(0).says_nothing().prints(&text);
    let lines = stack.machine.run("statements -o ndjson").exits(0).stdout.clone();
    assert_eq!(lines, format!("{text}\n"), "the data should be printed byte for byte");
    stack.machine.run("statements").exits(0).prints("TIME");
}

#[test]
fn status_names_a_statement_that_the_lrs_cannot_return_and_delete_removes_it() {
    let stack = MockedStack::installed();
    let mut broken = statement(3);
    broken["actor"]["name"] = json!(HALF_PAIR);
    stack.lrs.has(&statements(3)).has(&[broken]);
    let command = format!("statements delete {}", id(3));
    stack
        .machine
        .run("status")
        .exits(3)
        .shows(&format!("cannot return statement {}", id(3)))
        .shows(&format!("delete it with `kubectl lastack {command}`"));
    stack
        .machine
        .run("statements")
        .exits(1)
        .says("hint: run `kubectl lastack status`, which names statements");
    stack
        .machine
        .run(&command)
        .exits(2)
        .says("stdin is not a terminal; nothing was deleted")
        .says("hint: pass `--yes`");
    assert_eq!(stack.lrs.stored().len(), 4);
    stack.machine.run(&format!("{command} --yes")).exits(0).says("deleted");
    assert_eq!(stack.lrs.stored().len(), 3);
    stack.machine.run("status").exits(0);
    stack
        .machine
        .run(&format!("{command} --yes"))
        .exits(1)
        .says(&format!("the data lake has no statement {}", id(3)));
}

#[test]
fn statements_delete_without_an_id_is_a_usage_error() {
    let stack = MockedStack::installed();
    stack.machine.run("statements delete").exits(2);
    stack.machine.run("statements delete 7 --yes").exits(2).says("invalid value '7'");
}
