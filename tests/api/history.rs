//! Moodle's own log: backfill, reconcile and coverage.

use serde_json::{Value, json};

use crate::support::moodle::{VIEWED, sent};
use crate::support::stack::MockedStack;

use super::lms::called;

const HOUR: i64 = 1_772_352_000;

fn group(states: Value) -> Value {
    json!({"event": VIEWED, "hour": HOUR, "newest": HOUR + 5, "states": states})
}

/// The inputs of the calls that send events.
fn sends(stack: &MockedStack) -> Vec<Value> {
    let mut calls = called(stack, "history");
    calls.retain(|input| input["do"] == "send");
    calls
}

#[test]
fn backfill_sends_missing_events_turn_by_turn_after_confirmation() {
    let stack = MockedStack::installed();
    stack.machine.run("backfill").exits(0).says("No events to send");
    stack.moodle.world().log =
        vec![group(json!({"sent": 3, "missing": 1500, "unrouted": 7, "courseDeleted": 2}))];
    stack
        .machine
        .run("backfill --dry-run")
        .exits(0)
        .prints("1,500    never sent")
        .prints("7        of kinds that the plugin does not send")
        .prints("2        of deleted courses")
        .never_shows("of guests")
        .says("1,500 events would be sent");
    stack.machine.run("backfill").exits(2).says("pass `--yes`").says("nothing was sent");
    assert_eq!(sends(&stack), [] as [Value; 0]);

    let mut second = sent(499, None);
    second["never"] = 1.into();
    stack.moodle.world().sends.extend([sent(1000, Some(HOUR)), second]);
    let course = "--course PHYS101 --since 2026-01-01T00:00:00Z --until 2026-03-01T08:30:00Z";
    stack
        .machine
        .run(&format!("backfill --yes {course}"))
        .exits(3)
        .says("1,499 events sent, 1 not convertible to statements")
        .says("1,500 events of the period are not delivered")
        .says("the data lake has 1,499 statements fewer than events were sent");
    let sends = sends(&stack);
    assert_eq!(sends.len(), 2);
    assert_eq!(sends[0]["course"], "PHYS101");
    assert_eq!(sends[0]["since"], 1_767_225_600);
    assert_eq!(sends[1]["since"], HOUR, "the second turn should continue after the first");
    assert_eq!(sends[1]["until"], HOUR + 1800);
}

#[test]
fn backfill_that_stops_names_the_cause_and_continues_later() {
    let stack = MockedStack::installed();
    stack.moodle.world().log = vec![group(json!({"missing": 5}))];
    let mut stopped = sent(2, Some(HOUR));
    stopped["stopped"] = "the LRS is not healthy".into();
    stack.moodle.world().sends.push_back(stopped);
    stack
        .machine
        .run("backfill --yes")
        .exits(1)
        .says("error: the backfill stopped after 2 events: the LRS is not healthy")
        .says("hint: check the LRS with `kubectl lastack status`, then repeat the command");
    stack.moodle.world().complains = ("there is no course with the short name X".into(), 1);
    stack.machine.run("backfill --course X").exits(1).says("no course with the short name X");
}

#[test]
fn backfill_of_another_moodle_prints_its_commands() {
    let stack = MockedStack::empty();
    stack.machine.run("install --only lrs,dataviz").exits(0);
    stack
        .machine
        .run("backfill --since 2026-03-01T08:00:00Z")
        .exits(0)
        .prints("INSERT INTO mdl_logstore_xapi_log (eventname,")
        .prints(&format!("l.timecreated >= {HOUR} "))
        .says("execute this in the database of yours");
    stack.machine.run("reconcile").exits(2).says("has no Moodle");
}

#[test]
fn reconcile_names_hours_without_statements_and_repairs_them_on_request() {
    let stack = MockedStack::installed();
    stack.machine.run("reconcile").exits(0).says("0 events: 0 sent and stored");
    stack.moodle.world().log = vec![
        group(json!({"waiting": 9})),
        json!({"event": "login", "hour": HOUR, "newest": HOUR, "states": {"sent": 4, "missing": 3, "failed": 2}}),
    ];
    stack
        .machine
        .run("reconcile --since 2026-03-01T08:30:00Z")
        .exits(3)
        .prints("2026-03-01 08:00   login   9        3            2               4\n")
        .never_shows(VIEWED)
        .says("18 events: 0 sent and stored, 9 waiting in the queue, 2 not delivered to the LRS, 3 never sent, 4 lost")
        .says("kubectl lastack reconcile --since 2026-03-01T08:00:00Z --fix");
    assert!(called(&stack, "replay").is_empty(), "only `--fix` changes anything");

    stack.moodle.world().replayed =
        json!({"due": 2, "sent": 2, "already": 0, "rejected": 0, "never": 0, "stopped": null});
    stack.moodle.world().sends.extend([sent(3, None), sent(1, None)]);
    stack
        .machine
        .run("reconcile --fix")
        .exits(3)
        .says("2 of 2 events not delivered resent")
        .says("Of 3 events never sent: 3 events sent")
        .says("1 of 4 events login lost from 2026-03-01 08:00 resent");
    assert_eq!(called(&stack, "replay").len(), 1);
    let sends = sends(&stack);
    assert!(sends[0]["lost"].is_null(), "{sends:?}");
    assert_eq!(sends[1]["lost"], "login");
    assert_eq!([&sends[1]["since"], &sends[1]["until"]], [HOUR, HOUR + 3600]);
}

#[test]
fn coverage_shows_events_that_the_plugin_does_not_send() {
    let stack = MockedStack::installed();
    stack.moodle.world().log = vec![
        group(json!({"sent": 4})),
        json!({"event": "\\mod_x\\event\\seen", "hour": 0, "newest": HOUR, "states": {"unrouted": 6}}),
    ];
    stack
        .machine
        .run("coverage")
        .exits(0)
        .prints("unknown to the plugin")
        .says("1 kind of events never happened; `--all` shows them");
    let all = stack.machine.run("coverage --all -o json").exits(0).json();
    let delivery: Vec<&str> = all["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["delivery"].as_str().unwrap())
        .collect();
    assert_eq!(delivery, ["sent", "disabled", "unknown"]);
}
