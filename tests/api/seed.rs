//! `seed` with a healthy LRS: every statement of the input arrives exactly once.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::lrs::{Lrs, PASSWORD, USER};
use crate::support::machine::{Ended, Machine};
use crate::support::stack::MockedStack;
use crate::support::statements::{array, gzip, id, lines, statement, statements};
use crate::support::terminal::Terminal;

/// A machine with the account of the LRS in a file.
pub fn machine() -> Machine {
    let machine = Machine::new();
    machine.write("account", format!("{USER}:{PASSWORD}\n"));
    machine
}

/// Sends statements to an LRS outside a stack.
pub fn seed(machine: &Machine, lrs: &Lrs, arguments: &str) -> Ended {
    let ended = machine
        .run(&format!("seed {arguments} --endpoint {} --credentials account", lrs.endpoint()));
    ended.never_shows(PASSWORD);
    ended
}

/// Every id that was sent, with repetitions, in order.
fn sent(lrs: &Lrs) -> Vec<String> {
    let mut ids: Vec<String> = lrs.batches().concat();
    ids.sort();
    ids
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(id).collect()
}

#[test]
fn seed_of_each_input_format_stores_every_statement_once() {
    let all = statements(2500);
    let forms: [(&str, Vec<u8>); 5] = [
        ("array.json", array(&all).into()),
        ("pretty.json", serde_json::to_vec_pretty(&all).unwrap()),
        ("lines.ndjson", lines(&all).into()),
        ("array.json.gz", gzip(&array(&all))),
        ("lines.jsonl.gz", gzip(&lines(&all))),
    ];
    for (name, content) in forms {
        let (machine, lrs) = (machine(), Lrs::start());
        machine.write(name, content);
        seed(&machine, &lrs, name)
            .exits(0)
            .says_nothing()
            .prints("2,500 of 2,500 statements accepted: 2,500 sent, 0 already stored, 0 rejected");
        assert!(sent(&lrs) == ids(2500), "{name}: seed should send every statement once");
        assert_eq!(
            lrs.stored()[&id(7)],
            statement(7),
            "{name}: statements should arrive unchanged"
        );
    }
}

#[test]
fn seed_of_stdin_reads_to_the_end() {
    let (machine, lrs) = (machine(), Lrs::start());
    let line = format!("seed - --endpoint {} --credentials account", lrs.endpoint());
    machine
        .feed(&line, lines(&statements(1200)))
        .exits(0)
        .prints("1,200 of 1,200 statements accepted");
    assert_eq!(sent(&lrs), ids(1200));
}

#[test]
fn seed_of_a_directory_reads_all_files_and_names_skipped_ones() {
    let (machine, lrs) = (machine(), Lrs::start());
    let all = statements(40);
    machine.write("data/a.json", array(&all[..10]));
    machine.write("data/B.NDJSON.GZ", gzip(&lines(&all[10..20])));
    machine.write("data/2026/c.jsonl", lines(&all[20..30]));
    machine.write("data/expected-results.json", array(&all[30..]));
    machine.write("data/2026/expected-results.json", "{\n  \"active_learners_per_day\": {}}");
    machine.write("data/notes.txt", "nothing");
    seed(&machine, &lrs, "data")
        .exits(0)
        .prints("40 of 40 statements accepted")
        .says("skipped: data/2026/expected-results.json: the expected results of generated statements\n")
        .says("skipped: data/notes.txt: its name does not end in .json, .jsonl or .ndjson");
    assert_eq!(sent(&lrs), ids(40));
}

#[test]
fn seed_of_several_inputs_sends_all_of_them() {
    let (machine, lrs) = (machine(), Lrs::start());
    let all = statements(30);
    machine.write("a.json", array(&all[..10]));
    machine.write("b.json", array(&all[10..]));
    seed(&machine, &lrs, "a.json b.json").exits(0).prints("30 of 30 statements accepted");
    assert_eq!(sent(&lrs), ids(30));
}

#[test]
fn seed_with_a_batch_size_sends_batches_of_that_size() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(25)));
    seed(&machine, &lrs, "a.json --batch 10").exits(0);
    let mut sizes: Vec<usize> = lrs.batches().iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 10, 10]);
}

#[test]
fn seed_requests_carry_account_version_and_content_type() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(1)));
    seed(&machine, &lrs, "a.json").exits(0);
    let request = &lrs.server.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/xAPI/statements"));
    assert_eq!(request.headers["x-experience-api-version"], "1.0.3");
    assert_eq!(request.headers["content-type"], "application/json");
}

#[test]
fn second_seed_reports_all_statements_as_already_stored() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(1500)));
    seed(&machine, &lrs, "a.json").exits(0).prints("1,500 sent, 0 already stored");
    seed(&machine, &lrs, "a.json")
        .exits(0)
        .prints("1,500 of 1,500 statements accepted: 1,500 sent, 1,500 already stored, 0 rejected");
    assert_eq!(lrs.stored().len(), 1500);
}

#[test]
fn seed_of_partly_stored_statements_stores_the_rest() {
    let (machine, lrs) = (machine(), Lrs::start());
    lrs.has(&statements(300));
    machine.write("a.json", array(&statements(1000)));
    seed(&machine, &lrs, "a.json").exits(0).prints("1,000 sent, 300 already stored, 0 rejected");
    assert_eq!(lrs.stored().len(), 1000);
}

#[test]
fn second_seed_of_statements_without_id_and_timestamp_finds_them_stored() {
    let (machine, lrs) = (machine(), Lrs::start());
    let bare: Vec<Value> = (0..3)
        .map(|number| {
            let mut bare = statement(number);
            bare.as_object_mut().unwrap().retain(|key, _| key != "id" && key != "timestamp");
            bare
        })
        .collect();
    machine.write("bare.json", array(&bare));
    seed(&machine, &lrs, "bare.json").exits(0).prints("3 sent, 0 already stored, 0 rejected");
    let first = lrs.stored();
    assert_eq!(first.len(), 3);
    assert!(
        first.values().all(|statement| statement["timestamp"].is_string()),
        "each statement should have the time of the run: {first:?}"
    );
    seed(&machine, &lrs, "bare.json").exits(0).prints("3 sent, 3 already stored, 0 rejected");
    assert_eq!(lrs.stored(), first);
}

#[test]
fn seed_generates_the_same_statements_in_every_run() {
    let (machine, lrs) = (machine(), Lrs::start());
    seed(&machine, &lrs, "--count 2345 --seed 3")
        .exits(0)
        .prints("2,345 of 2,345 statements accepted: 2,345 sent, 0 already stored");
    seed(&machine, &lrs, "--count 2345 --seed 3").exits(0).prints("2,345 already stored");
    assert_eq!(lrs.stored().len(), 2345);
    let fields: BTreeSet<&str> = ["id", "timestamp", "actor", "verb", "object"].into();
    let odd = lrs
        .stored()
        .into_values()
        .find(|statement| !fields.iter().all(|field| statement.get(field).is_some()));
    assert!(odd.is_none(), "a generated statement should have all fields: {odd:?}");
}

#[test]
fn seed_report_as_json_has_the_same_counts() {
    let (machine, lrs) = (machine(), Lrs::start());
    lrs.has(&statements(4));
    machine.write("a.json", array(&statements(10)));
    let mut report = seed(&machine, &lrs, "a.json -o json").exits(0).says_nothing().json();
    assert!(report["seconds"].take().is_number());
    let expected = json!({
        "apiVersion": "lastack/v1", "kind": "SeedReport", "sent": 10, "accepted": 6, "alreadyThere": 4, "rejected": 0, "unreadable": 0,
        "found": null, "missing": null, "differing": null, "complete": true, "seconds": null,
    });
    assert_eq!(report, expected);
}

#[test]
fn seed_into_a_stack_verifies_every_statement_in_the_data_lake() {
    let stack = MockedStack::installed();
    stack.machine
        .run("seed --count 1200")
        .exits(0)
        .says_nothing()
        .prints("1,200 of 1,200 statements stored: 1,200 sent, 0 already stored, 0 rejected, each found in Elasticsearch by its id");
    stack
        .machine
        .run("seed --count 1200")
        .exits(0)
        .prints("1,200 sent, 1,200 already stored, 0 rejected, each found");
    assert_eq!(stack.lrs.stored().len(), 1200);
}

#[test]
fn seed_names_a_statement_that_the_data_lake_does_not_have() {
    let stack = MockedStack::installed();
    stack.machine.write("a.json", array(&statements(5)));
    // the LRS acknowledges the statements without storing them
    stack.lrs.next([crate::support::server::Reply::ok(json!(ids(5)))]);
    stack.lrs.has(&statements(4));
    let ended = stack.machine.run("seed a.json");
    ended
        .exits(1)
        .prints("4 of 5 statements stored")
        .prints("1 not found in Elasticsearch")
        .says(&id(4))
        .says("hint: repeat the command to send them again");
}

#[test]
fn seed_of_a_file_into_a_stack_verifies_the_content() {
    let stack = MockedStack::installed();
    stack.machine.write("a.json", array(&statements(2500)));
    stack.machine
        .run("seed a.json")
        .exits(0)
        .prints("2,500 of 2,500 statements stored: 2,500 sent, 0 already stored, 0 rejected, each found in Elasticsearch with its content");
}

#[test]
fn seed_names_a_statement_that_was_overwritten() {
    let stack = MockedStack::installed();
    stack.machine.write("a.json", array(&statements(5)));
    // the LRS acknowledges the statements before another sender overwrites one
    stack.lrs.next([crate::support::server::Reply::ok(json!(ids(5)))]);
    let mut stored = statements(5);
    stored[2]["verb"]["id"] = json!("http://example.org/other");
    stack.lrs.has(&stored);
    stack
        .machine
        .run("seed a.json")
        .exits(1)
        .prints("4 of 5 statements stored")
        .prints("1 with different content in Elasticsearch")
        .says(&id(2));
}

#[test]
fn seed_of_two_statements_with_one_id_rejects_the_second() {
    let mut other = statement(3);
    other["verb"]["id"] = json!("http://example.org/other");
    for concurrency in [1, 4] {
        let (machine, lrs) = (machine(), Lrs::start());
        let all = statements(2000);
        machine.write("a.json", array(&all));
        // in another batch and another file, beside a repetition
        machine.write("b.ndjson", lines(&[statement(3), other.clone()]));
        seed(&machine, &lrs, &format!("a.json b.ndjson --batch 100 --concurrency {concurrency}"))
            .exits(1)
            .prints("2,000 of 2,001 statements accepted: 2,001 sent, 0 already stored, 1 rejected")
            .says("rejected: b.ndjson: statement 2 (byte ")
            .says(&format!(
                "(id {}): 409 an earlier statement of this run has the same id and has different content",
                id(3)
            ));
        assert_eq!(sent(&lrs), ids(2000), "seed should send each id once");
        assert_eq!(lrs.stored()[&id(3)], statement(3), "the first statement should stay");
    }
}

#[test]
fn seed_of_one_statement_in_two_forms_stores_it_once() {
    let mut stored_form = statement(3);
    stored_form["stored"] = json!("2026-03-02T10:00:01Z");
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.ndjson", lines(&[statement(3), stored_form.clone()]));
    seed(&machine, &lrs, "a.ndjson")
        .exits(0)
        .prints("1 of 1 statements accepted: 1 sent, 0 already stored, 0 rejected");
    let stack = MockedStack::installed();
    stack.machine.write("a.ndjson", lines(&[statement(3), stored_form]));
    stack.machine.run("seed a.ndjson").exits(0).prints("1 of 1 statements stored");
}

#[test]
fn second_seed_of_a_normalised_statement_finds_it_stored() {
    let (machine, lrs) = (machine(), Lrs::start());
    let mut sent = statement(1);
    sent["actor"]["mbox"] = json!("mailto:learner-1@EXAMPLE.org");
    lrs.has(&[statement(1)]);
    machine.write("a.json", array(&[sent]));
    seed(&machine, &lrs, "a.json").exits(0).prints("1 sent, 1 already stored, 0 rejected");
}

#[test]
fn seed_until_the_same_week_stores_nothing_twice_and_another_week_other_statements() {
    let (machine, lrs) = (machine(), Lrs::start());
    seed(&machine, &lrs, "--count 300 --until 2026-11-30").exits(0).prints("0 already stored");
    seed(&machine, &lrs, "--count 300 --until 2026-12-01T08:00:00Z")
        .exits(0)
        .prints("300 sent, 300 already stored, 0 rejected");
    assert_eq!(lrs.stored().len(), 300);
    seed(&machine, &lrs, "--count 300 --until 2026-12-30").exits(0).prints("0 already stored");
    seed(&machine, &lrs, "--count 300").exits(0).prints("0 already stored");
    assert_eq!(lrs.stored().len(), 900);
}

#[test]
fn seed_with_cases_stores_each_id_once() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.run("seed --write out --count 0 --cases").exits(0);
    let results: Value =
        serde_json::from_slice(&std::fs::read(machine.path("out/expected-results.json")).unwrap())
            .unwrap();
    let [sent, stored] =
        ["sent", "stored"].map(|name| results["cases"][name].as_u64().unwrap() as usize);
    let all = sent + 100;
    seed(&machine, &lrs, "--count 100 --cases --batch 10000 --concurrency 1")
        .exits(0)
        .prints(&format!("{all} of {all} statements accepted: {all} sent, 3 already stored"));
    assert_eq!(lrs.batches().len(), 3, "the LRS should reject no batch");
    assert_eq!(lrs.stored().len(), stored + 100);
    seed(&machine, &lrs, "--count 100 --cases").exits(0).prints(&format!("{all} already stored"));
    // files do not repeat an id
    seed(&machine, &lrs, "out").exits(0).prints(&format!("{stored} sent, {stored} already stored"));
}

#[test]
fn seed_with_cases_is_verified_in_the_data_lake() {
    let stack = MockedStack::installed();
    stack.machine.run("seed --count 100 --cases").exits(0).prints("each found in Elasticsearch");
}

#[test]
fn seed_with_a_rate_sends_small_batches_at_even_intervals() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(25)));
    for input in ["a.json", "--count 25"] {
        let before = lrs.batches().len();
        let begun = std::time::Instant::now();
        seed(&machine, &lrs, &format!("{input} --rate 100"))
            .exits(0)
            .prints("25 of 25 statements accepted");
        // the third batch is due after two tenths of a second
        assert!(begun.elapsed() >= std::time::Duration::from_millis(200), "{input}");
        let mut sizes: Vec<usize> = lrs.batches()[before..].iter().map(Vec::len).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [5, 10, 10], "{input}");
    }
}

#[test]
fn seed_with_a_rate_shows_it_and_ends_at_ctrl_c() {
    let (machine, lrs) = (machine(), Lrs::start());
    let line = format!("seed --rate 5 --endpoint {} --credentials account", lrs.endpoint());
    let arguments: Vec<&str> = line.split(' ').collect();
    let mut command = machine.command(&arguments);
    command.env("TERM", "xterm-256color");
    let mut terminal = Terminal::start(command);
    terminal.until("of 22,000").until("of 5/s").interrupts();
    assert_eq!(terminal.ends().code(), Some(130), "{}", terminal.screen());
    assert!(terminal.screen().contains("error: interrupted"), "{}", terminal.screen());
    assert!(lrs.stored().len() < 1000, "seed should send slowly");
}
