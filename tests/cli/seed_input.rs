//! `seed` with inputs that hold no statements. Nothing is sent for them.

use crate::support::lrs::Lrs;
use crate::support::lrs::{PASSWORD, USER};
use crate::support::machine::{Ended, Machine};
use crate::support::statements::{array, gzip, lines, statements};

/// Sends one file to an LRS, and says how it ended and how many statements arrived.
fn seed(name: &str, content: impl AsRef<[u8]>) -> (Ended, usize) {
    let (machine, lrs) = (Machine::new(), Lrs::start());
    machine.write("account", format!("{USER}:{PASSWORD}\n"));
    machine.write(name, content);
    let ended =
        machine.run(&format!("seed {name} --endpoint {} --credentials account", lrs.endpoint()));
    (ended, lrs.stored().len())
}

#[test]
fn an_input_without_statements_is_named_with_its_fault() {
    let cut_gzip = &gzip(&array(&statements(20)))[..60];
    let cases: [(&str, &[u8], &str); 6] = [
        ("empty.json", b"", "contains no statements"),
        ("array.json", b"[]", "contains no statements"),
        ("page.html", b"<html>", "neither JSON nor gzip: it begins with"),
        ("number.json", b"[7]", "expected a statement or `]`, found `7`"),
        ("cut.json.gz", cut_gzip, "the gzip data is truncated"),
        ("bad.json.gz", b"\x1f\x8b\x08garbage", "gzip"),
    ];
    for (name, content, fault) in cases {
        let (ended, stored) = seed(name, content);
        ended.exits(1).says(&format!("not read: {name}: ")).says(fault);
        assert_eq!(stored, 0, "{name} holds no statement\n{ended}");
    }
}

#[test]
fn the_statements_before_a_fault_are_sent_and_the_fault_is_the_exit_code() {
    let whole = array(&statements(5));
    let (ended, stored) = seed("cut.json", &whole[..whole.len() - 10]);
    ended.exits(1).says("not read: cut.json: statement 5").prints("4 of 5 statements accepted");
    assert_eq!(stored, 4);
}

#[test]
fn a_line_that_is_json_and_no_statement_costs_itself_only() {
    let text = lines(&statements(3)).replacen('\n', "\n{\"id\": 7}\n", 1);
    let (ended, stored) = seed("lines.ndjson", text);
    ended.exits(1).says("not read: lines.ndjson: statement 2").says("1 could not be read");
    assert_eq!(stored, 3);
}

#[test]
fn a_line_that_is_not_json_is_named() {
    let text = lines(&statements(3)).replacen('\n', "\n{\"id\": oops}\n", 1);
    let (ended, stored) = seed("lines.ndjson", text);
    ended.exits(1).says("not read: lines.ndjson: statement 2").says("not JSON at byte");
    assert_eq!(stored, 3, "every other line is sent");
}

#[test]
fn a_file_that_is_named_and_not_there_stops_before_anything_is_sent() {
    let (machine, lrs) = (Machine::new(), Lrs::start());
    machine.write("account", format!("{USER}:{PASSWORD}\n"));
    machine.write("there.json", array(&statements(3)));
    let ended = machine.run(&format!(
        "seed there.json absent.json --endpoint {} --credentials account",
        lrs.endpoint()
    ));
    ended.exits(2).says("absent.json: cannot be opened");
    assert_eq!(lrs.server.requests().len(), 0, "nothing is sent when an input is missing");
}

#[test]
fn seed_of_lines_with_nan_or_a_torn_one_goes_on_at_the_next() {
    for wrong in ["{\"id\": NaN}", "{\"id\": \"torn", "{\"actor\": [{\"name\":"] {
        let text = lines(&statements(5)).replacen('\n', &format!("\n{wrong}\n"), 2);
        let (ended, stored) = seed("lines.ndjson", text);
        ended.exits(1).prints("5 of 7 statements accepted").says("2 could not be read");
        assert_eq!(stored, 5, "{wrong}");
    }
}

#[test]
fn seed_of_array_that_is_not_json_says_how_much_was_not_read() {
    let text = array(&statements(5)).replacen("},{\"actor", "},{\"x\":NaN,\"actor", 1);
    let (ended, stored) = seed("a.json", text);
    ended.exits(1).says("not read: a.json: statement 2").says(" bytes were not read");
    assert_eq!(stored, 1);
}
