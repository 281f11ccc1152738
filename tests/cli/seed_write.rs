//! `seed --write`: the generated statements as files.

use std::fs;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::support::machine::Machine;

fn expected_results(machine: &Machine, directory: &str) -> Value {
    let file = machine.path(directory).join("expected-results.json");
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn statements(machine: &Machine, file: &str) -> Vec<Value> {
    serde_json::from_reader(GzDecoder::new(fs::File::open(machine.path(file)).unwrap())).unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn seed_write_without_a_cluster_writes_statements_and_expected_results() {
    let machine = Machine::new();
    machine
        .run("seed --write out --count 1500")
        .exits(0)
        .prints_nothing()
        .says("1,500 statements")
        .says("out");
    assert_eq!(
        names(&machine.path("out")),
        ["expected-results.json", "statements-00.json.gz", "statements-01.json.gz"]
    );
}

#[test]
fn seed_write_is_reproducible_for_each_seed() {
    let machine = Machine::new();
    for line in [
        "seed --write a --count 100 --seed 7",
        "seed --write b --count 100 --seed 7",
        "seed --write c --count 100 --seed 8",
    ] {
        machine.run(line).exits(0);
    }
    let read =
        |directory: &str| fs::read(machine.path(directory).join("statements-00.json.gz")).unwrap();
    assert_eq!(read("a"), read("b"), "the same seed should give the same bytes");
    assert_ne!(read("a"), read("c"), "another seed should give other statements");
}

#[test]
fn seed_write_to_an_unwritable_path_names_the_path() {
    let machine = Machine::new();
    machine.write("file", "");
    machine
        .run("seed --write file --count 1")
        .exits(1)
        .prints_nothing()
        .says("error: ")
        .says("file");
}

#[test]
fn seed_write_into_a_folder_of_another_data_set_fails_and_keeps_it() {
    let machine = Machine::new();
    machine.run("seed --write out --count 1500").exits(0);
    machine.run("seed --write out --count 10").exits(1).says("statements-01.json.gz");
    assert_eq!(names(&machine.path("out")).len(), 3, "the folder should keep its files");
}

#[test]
fn seed_write_until_a_date_shifts_statements_and_expected_results() {
    let machine = Machine::new();
    machine
        .run("seed --write out --count 100 --until 2026-11-30")
        .exits(0)
        .says("The term lasts from 2026-08-17 to 2026-11-27\n");
    machine.run("seed --write unshifted --count 100").exits(0).never_shows("The term");
    let [shifted, unshifted] =
        ["out", "unshifted"].map(|directory| expected_results(&machine, directory));
    let days = |results: &Value| {
        results["statements_per_day"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!([&days(&shifted)[0], &days(&unshifted)[0]], ["2026-08-17", "2026-02-23"]);
    assert_eq!(
        [&shifted["weeks_shifted"], &unshifted["weeks_shifted"]],
        [&json!(25), &json!(null)]
    );
    assert_eq!(shifted["hours_of_the_week"], unshifted["hours_of_the_week"]);
    let first = &statements(&machine, "out/statements-00.json.gz")[0];
    assert_eq!(first["timestamp"], shifted["first_timestamp"]);
}

#[test]
fn seed_write_until_now_writes_no_statement_of_the_future() {
    let machine = Machine::new();
    machine.run("seed --write out --count 22000 --until now").exits(0);
    let newest = expected_results(&machine, "out")["newest_timestamp"].take();
    let newest: jiff::Timestamp = newest.as_str().unwrap().parse().unwrap();
    let age = jiff::Timestamp::now().duration_since(newest);
    assert!(!age.is_negative() && age.as_hours() < 8 * 24, "the newest statement is of {newest}");
}

#[test]
fn seed_write_with_cases_adds_two_files_and_their_results() {
    let machine = Machine::new();
    machine.run("seed --write out --count 10 --cases").exits(0);
    assert_eq!(
        names(&machine.path("out")),
        [
            "expected-results.json",
            "statements-00.json.gz",
            "statements-cases-0.json.gz",
            "statements-cases-1.json.gz"
        ]
    );
    let results = expected_results(&machine, "out");
    let cases = &results["cases"];
    let [first, repeated] = [0, 1]
        .map(|number| statements(&machine, &format!("out/statements-cases-{number}.json.gz")));
    assert_eq!(cases["stored"], first.len());
    assert_eq!(cases["sent"], first.len() + repeated.len());
    assert_eq!(results["count"], 10 + first.len());
    assert!(repeated.iter().all(|statement| first.contains(statement)));
    assert_eq!(cases["dropouts"]["expected"]["learners"].as_array().unwrap().len(), 5);
    machine.run("seed --write out --count 10").exits(1).says("statements-cases-");
}
