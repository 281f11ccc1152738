//! `seed --write`: the generated statements as files.

use std::fs;
use std::path::Path;

use crate::support::machine::Machine;

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
