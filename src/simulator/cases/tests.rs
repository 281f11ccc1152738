//! Computes the results of the cases independently: from the statements.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use crate::simulator::dataset::{Cases, DataSet};
use crate::simulator::{Generated, Generator};
use crate::xapi::batch::Source;

const SEED: u64 = 11;

fn only_cases(seed: u64, shift: Shift) -> DataSet {
    DataSet { seed, count: 0, shift, cases: Cases::Included }
}

fn shifted() -> Shift {
    Shift::until("2028-03-12T00:00:00Z".parse().unwrap()).unwrap()
}

/// The batches in the order of sending.
fn batches(data_set: DataSet, size: usize) -> Vec<Vec<Value>> {
    let (mut source, mut batch) = (Generated::new(data_set, size), Batch::new());
    let mut batches = Vec::new();
    while source.fill(&mut batch).unwrap() {
        batches.push(serde_json::from_slice(batch.body()).unwrap());
    }
    batches
}

fn sent(shift: Shift) -> Vec<Value> {
    batches(only_cases(SEED, shift), 1000).concat()
}

/// The statements of the cases, each id once.
fn stored(shift: Shift) -> Vec<Value> {
    let mut ids = BTreeSet::new();
    let mut statements = sent(shift);
    statements.retain(|statement| ids.insert(text(statement, "/id").to_owned()));
    statements
}

fn results(shift: Shift) -> Value {
    serde_json::to_value(PlantedCases::new(SEED, shift).expected_results()).unwrap()
}

fn text<'a>(statement: &'a Value, pointer: &str) -> &'a str {
    statement.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Statements by account. The key of statements by mail is empty.
fn by_account(statements: &[Value]) -> BTreeMap<&str, Vec<&Value>> {
    let mut learners: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for statement in statements {
        learners.entry(text(statement, "/actor/account/name")).or_default().push(statement);
    }
    learners
}

fn days<'a>(statements: &[&'a Value]) -> Vec<&'a str> {
    let mut days: Vec<_> =
        statements.iter().map(|statement| &text(statement, "/timestamp")[..10]).collect();
    days.sort_unstable();
    days
}

#[test]
fn dropouts_are_the_only_quiet_learners() {
    for shift in [Shift::NONE, shifted()] {
        let (statements, results) = (stored(shift), results(shift));
        let expected = &results["dropouts"]["expected"];
        let quiet_since = expected["quiet_since"].as_str().unwrap();
        let dropout = |(account, statements): (&str, Vec<&Value>)| {
            let days = days(&statements);
            (*days.last().unwrap() < quiet_since).then(|| {
                json!({
                    "account": account, "name": text(statements[0], "/actor/name"),
                    "first_seen": days[0], "last_seen": days.last(),
                    "statements": statements.len(),
                })
            })
        };
        let quiet: Vec<Value> = by_account(&statements).into_iter().filter_map(dropout).collect();
        assert_eq!(expected["learners"], json!(quiet));
        assert_eq!(quiet.len(), 5);
    }
    let results = results(Shift::NONE);
    let expected = &results["dropouts"]["expected"];
    let last_seen = |index: usize| &expected["learners"][index]["last_seen"];
    assert_eq!(expected["quiet_since"], "2026-05-23");
    assert_eq!([last_seen(0), last_seen(4)], ["2026-03-10", "2026-05-12"]);
}

#[test]
fn spike_is_the_busiest_hour() {
    for shift in [Shift::NONE, shifted()] {
        let statements = stored(shift);
        let mut hours: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for statement in &statements {
            hours.entry(&text(statement, "/timestamp")[..13]).or_default().push(statement);
        }
        let mut by_size: Vec<_> = hours.iter().map(|(hour, rows)| (rows.len(), *hour)).collect();
        by_size.sort_unstable();
        let [.., (next, _), (most, hour)] = by_size[..] else { panic!("two hours") };
        let learners: BTreeSet<&str> =
            hours[hour].iter().map(|statement| text(statement, "/actor/account/name")).collect();
        assert_eq!(
            results(shift)["spike"]["expected"],
            json!({
                "hour": format!("{hour}:00:00.000Z"), "learners": learners.len(),
                "statements": most, "statements_in_other_hours": next,
            })
        );
        assert!(most > 4 * next, "{most} statements and {next} in another hour are no spike");
    }
}

#[test]
fn duplicates_have_equal_ids_or_equal_content() {
    let (sent, stored, results) = (sent(Shift::NONE), stored(Shift::NONE), results(Shift::NONE));
    let expected = &results["duplicates"]["expected"];
    let mut first: BTreeMap<&str, &Value> = BTreeMap::new();
    let mut repeated = Vec::new();
    for statement in &sent {
        match first.insert(text(statement, "/id"), statement) {
            Some(earlier) => {
                assert_eq!(earlier, statement, "a repetition should have the same content");
                repeated.push(json!(statement["id"]));
            }
            None => assert!(repeated.is_empty(), "repetitions should be sent last"),
        }
    }
    assert_eq!(expected["repeated"], json!(repeated));
    let mut contents: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for statement in &stored {
        let mut content = statement.clone();
        let id = content["id"].take();
        contents.entry(content.to_string()).or_default().push(id);
    }
    let copies: BTreeSet<String> = contents
        .into_values()
        .filter(|ids| ids.len() > 1)
        .map(|ids| json!(ids).to_string())
        .collect();
    let named = expected["copies"].as_array().unwrap().iter().map(Value::to_string);
    assert_eq!(copies, named.collect());
    let of_learner = |statements: &[Value]| by_account(statements)["941"].len();
    assert_eq!(
        [&expected["account"], &expected["sent"], &expected["stored"]],
        [&json!("941"), &json!(of_learner(&sent)), &json!(of_learner(&stored))]
    );
    assert_eq!(expected["stored_without_copies"], of_learner(&stored) - copies.len());
    assert_eq!([repeated.len(), copies.len()], [3, 2]);
}

#[test]
fn late_statements_are_sent_after_newer_ones() {
    for shift in [Shift::NONE, shifted()] {
        let (statements, results) = (stored(shift), results(shift));
        let mut newest = "";
        let mut late = Vec::new();
        for statement in &statements {
            let time = text(statement, "/timestamp");
            if time < newest {
                late.push(statement);
            }
            newest = newest.max(time);
        }
        let mut per_day: BTreeMap<&str, u64> = BTreeMap::new();
        days(&late).into_iter().for_each(|day| *per_day.entry(day).or_default() += 1);
        let accounts: BTreeSet<&str> =
            late.iter().map(|statement| text(statement, "/actor/account/name")).collect();
        assert_eq!(
            results["late_arrivals"]["expected"],
            json!({
                "accounts": accounts, "newest_before": newest, "statements": late.len(),
                "statements_per_day": per_day,
            })
        );
    }
}

#[test]
fn learners_by_mail_have_no_account_in_those_statements() {
    let (statements, results) = (stored(Shift::NONE), results(Shift::NONE));
    let expected = &results["actors_by_mail"]["expected"];
    let by_mail = &by_account(&statements)[""];
    assert_eq!(expected["statements"], by_mail.len());
    for learner in expected["learners"].as_array().unwrap() {
        let (mbox, name) = (text(learner, "/mbox"), text(learner, "/name"));
        assert!(MAILBOXES.contains(&mbox));
        let actor = json!({"name": name, "mbox": mbox});
        let mailed = by_mail.iter().filter(|statement| statement["actor"] == actor);
        assert_eq!(learner["statements_by_mail"], mailed.count());
        let with_account = statements.iter().filter(|statement| {
            text(statement, "/actor/name") == name && statement["actor"]["mbox"].is_null()
        });
        let accounts: Vec<&str> =
            with_account.map(|statement| text(statement, "/actor/account/name")).collect();
        assert_eq!(learner["statements_by_account"], accounts.len());
        assert_eq!(learner["account"], json!(accounts.first()));
    }
    assert_eq!(expected["learners"][0]["account"], Value::Null);
    assert_eq!(expected["learners"][1]["account"], "961");
}

#[test]
fn counts_of_sent_and_stored_statements_are_named() {
    let results = results(Shift::NONE);
    assert_eq!(results["sent"], sent(Shift::NONE).len());
    assert_eq!(results["stored"], stored(Shift::NONE).len());
    assert_eq!(PlantedCases::statements(), sent(Shift::NONE).len() as u64);
    assert!(stored(Shift::NONE).iter().all(|statement| {
        statement["context"]["extensions"][crate::xapi::iri::context::COHORT] == results["cohort"]
    }));
}

#[test]
fn every_named_chart_exists() {
    let charts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/charts");
    let results = results(Shift::NONE);
    let cases = results.as_object().unwrap().values().filter_map(|case| case["charts"].as_array());
    let names: Vec<&str> = cases.flatten().filter_map(Value::as_str).collect();
    assert!(names.len() >= 5);
    for name in names {
        assert!(charts.join(format!("{name}.yaml")).exists(), "{name}");
    }
}

#[test]
fn batch_contains_an_id_once_and_follows_the_term() {
    for size in [1, 7, 10_000] {
        let data_set = DataSet { count: 10, ..only_cases(SEED, Shift::NONE) };
        let batches = batches(data_set, size);
        for batch in &batches {
            let ids: BTreeSet<&str> =
                batch.iter().map(|statement| text(statement, "/id")).collect();
            assert_eq!(ids.len(), batch.len());
            assert!(batch.len() <= size);
        }
        assert_eq!(batches.concat()[10..], sent(Shift::NONE));
        assert_eq!(batches.concat().len() as u64, data_set.statements());
    }
}

#[test]
fn ids_of_cases_differ_by_seed_and_shift_and_from_the_term() {
    let mut term = Batch::new();
    Generator::new(SEED, Shift::NONE).fill(&mut term, 1000);
    let mut ids: BTreeSet<String> =
        term.entries().iter().map(|entry| entry.id.to_string()).collect();
    for (seed, shift) in [(SEED, Shift::NONE), (SEED, shifted()), (SEED + 1, Shift::NONE)] {
        let statements = batches(only_cases(seed, shift), 1000).concat();
        let own: BTreeSet<String> =
            statements.iter().map(|statement| text(statement, "/id").to_owned()).collect();
        assert!(ids.is_disjoint(&own));
        ids.extend(own);
    }
}

/// Superset orders by time and id, so equal times at the limit of the chart would be ambiguous.
#[test]
fn newest_statements_have_different_times() {
    let mut times: Vec<String> = stored(Shift::NONE)
        .iter()
        .map(|statement| text(statement, "/timestamp").to_owned())
        .collect();
    times.sort();
    let newest: BTreeSet<&String> = times.iter().rev().take(21).collect();
    assert_eq!(newest.len(), 21);
}
