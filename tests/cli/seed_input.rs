//! `seed` with faulty input. The program sends no part of it that is not a statement.

use crate::support::lrs::Lrs;
use crate::support::lrs::{PASSWORD, USER};
use crate::support::machine::{Ended, Machine};
use crate::support::statements::{array, gzip, lines, statements};

/// Sends one file to an LRS. Returns the end of the run and the number of stored statements.
fn seed(name: &str, content: impl AsRef<[u8]>) -> (Ended, usize) {
    let (machine, lrs) = (Machine::new(), Lrs::start());
    machine.write("account", format!("{USER}:{PASSWORD}\n"));
    machine.write(name, content);
    let ended =
        machine.run(&format!("seed {name} --endpoint {} --credentials account", lrs.endpoint()));
    (ended, lrs.stored().len())
}

#[test]
fn seed_of_input_without_statements_names_the_input_and_its_fault() {
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
fn seed_of_truncated_input_sends_the_statements_before_the_fault() {
    let whole = array(&statements(5));
    let (ended, stored) = seed("cut.json", &whole[..whole.len() - 10]);
    ended.exits(1).says("not read: cut.json: statement 5").prints("4 of 5 statements accepted");
    assert_eq!(stored, 4);
}

#[test]
fn seed_skips_a_line_that_is_no_statement() {
    let text = lines(&statements(3)).replacen('\n', "\n{\"id\": 7}\n", 1);
    let (ended, stored) = seed("lines.ndjson", text);
    ended.exits(1).says("not read: lines.ndjson: statement 2").says("1 could not be read");
    assert_eq!(stored, 3);
}

#[test]
fn seed_names_a_line_that_is_not_json() {
    let text = lines(&statements(3)).replacen('\n', "\n{\"id\": oops}\n", 1);
    let (ended, stored) = seed("lines.ndjson", text);
    ended.exits(1).says("not read: lines.ndjson: statement 2").says("not JSON at byte");
    assert_eq!(stored, 3, "seed should send every other line");
}

#[test]
fn seed_with_a_missing_file_sends_nothing() {
    let (machine, lrs) = (Machine::new(), Lrs::start());
    machine.write("account", format!("{USER}:{PASSWORD}\n"));
    machine.write("there.json", array(&statements(3)));
    let ended = machine.run(&format!(
        "seed there.json absent.json --endpoint {} --credentials account",
        lrs.endpoint()
    ));
    ended.exits(2).says("absent.json: cannot be opened");
    assert_eq!(lrs.server.requests().len(), 0, "seed should send nothing when an input is missing");
}

#[test]
fn seed_continues_after_a_line_with_nan_or_a_truncated_line() {
    for wrong in ["{\"id\": NaN}", "{\"id\": \"torn", "{\"actor\": [{\"name\":"] {
        let text = lines(&statements(5)).replacen('\n', &format!("\n{wrong}\n"), 2);
        let (ended, stored) = seed("lines.ndjson", text);
        ended.exits(1).prints("5 of 7 statements accepted").says("2 could not be read");
        assert_eq!(stored, 5, "{wrong}");
    }
}

#[test]
fn seed_of_an_invalid_array_reports_the_unread_bytes() {
    let text = array(&statements(5)).replacen("},{\"actor", "},{\"x\":NaN,\"actor", 1);
    let (ended, stored) = seed("a.json", text);
    ended.exits(1).says("not read: a.json: statement 2").says(" bytes were not read");
    assert_eq!(stored, 1);
}
