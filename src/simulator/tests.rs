//! Tests of the properties of statements that charts depend on.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use serde_json::Value;

use super::*;
use crate::xapi::iri;

const EXTENSION: &str = "https://w3id.org/xapi/video/extensions/";

/// The statements of one term.
static TERM: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut batch = Batch::new();
    Generator::new(1, Shift::NONE).fill(&mut batch, TERM_STATEMENTS as usize);
    serde_json::from_slice(batch.body()).unwrap()
});

/// Statements by their registration, which is a session of a learner.
fn sessions(statements: &[Value]) -> BTreeMap<&str, Vec<&Value>> {
    let mut sessions: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for statement in statements {
        sessions
            .entry(statement["context"]["registration"].as_str().unwrap())
            .or_default()
            .push(statement);
    }
    sessions
}

fn millis(statement: &Value) -> i64 {
    statement["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn bytes(seed: u64, count: u64, batch_size: usize) -> Vec<u8> {
    let mut source = Generated::new(DataSet::new(seed, count), batch_size);
    let (mut batch, mut bytes) = (Batch::new(), Vec::new());
    while source.fill(&mut batch).unwrap() {
        (0..batch.len()).for_each(|index| bytes.extend_from_slice(batch.statement(index)));
    }
    bytes
}

#[test]
fn statements_do_not_depend_on_batch_size_and_count() {
    let all = bytes(3, 2500, 1000);
    assert_eq!(bytes(3, 2500, 7), all);
    assert!(all.starts_with(&bytes(3, 999, 1000)));
    assert_ne!(bytes(4, 2500, 1000), all);
}

#[test]
fn shifted_statements_differ_in_ids_and_dates_only() {
    let shift = Shift::until("2028-03-12T00:00:00Z".parse().unwrap()).unwrap();
    let mut batch = Batch::new();
    Generator::new(1, shift).fill(&mut batch, TERM_STATEMENTS as usize);
    let shifted: Vec<Value> = serde_json::from_slice(batch.body()).unwrap();
    let session_id = |statement: &mut Value| {
        let extensions = &mut statement["context"]["extensions"];
        extensions.get_mut(format!("{EXTENSION}session-id")).map(Value::take)
    };
    for (one, other) in TERM.iter().zip(shifted) {
        assert_eq!(millis(&other) - millis(one), shift.weeks() * 7 * 86_400_000);
        let (mut one, mut other) = (one.clone(), other);
        for name in ["id", "timestamp"] {
            assert_ne!(one[name].take(), other[name].take(), "{name}");
        }
        let registrations =
            [&mut one, &mut other].map(|statement| statement["context"]["registration"].take());
        assert_ne!(registrations[0], registrations[1]);
        let sessions = [session_id(&mut one), session_id(&mut other)];
        assert!(sessions[0].is_none() || sessions[0] != sessions[1]);
        assert_eq!(one, other);
    }
}

#[test]
fn ids_are_unique_in_three_terms_of_two_seeds() {
    let count = 3 * TERM_STATEMENTS as usize;
    let mut batch = Batch::new();
    let mut ids = HashSet::new();
    for seed in [1, 2] {
        Generator::new(seed, Shift::NONE).fill(&mut batch, count);
        ids.extend(batch.entries().iter().map(|entry| entry.id));
    }
    assert_eq!(ids.len(), 2 * count);
}

#[test]
fn entry_has_id_of_its_statement() {
    let mut batch = Batch::new();
    Generator::new(1, Shift::NONE).fill(&mut batch, 100);
    for (index, entry) in batch.entries().iter().enumerate() {
        let statement: Value = serde_json::from_slice(batch.statement(index)).unwrap();
        assert_eq!(statement["id"], entry.id.to_string());
    }
    assert_eq!(batch.origin(99), "generated from seed 1: statement 100");
}

#[test]
fn session_begins_with_login_and_is_chronological() {
    for session in sessions(&TERM).values() {
        assert_eq!(session[0]["verb"]["id"], iri::moodle::LOGIN);
        assert!(session[1..].iter().all(|statement| statement["verb"]["id"] != iri::moodle::LOGIN));
        assert!(session.iter().all(|statement| statement["actor"] == session[0]["actor"]));
        for pair in session.windows(2) {
            let gap = millis(pair[1]) - millis(pair[0]);
            assert!(
                (1..2 * 3_600_000).contains(&gap),
                "{gap} ms between {} and {}",
                pair[0],
                pair[1]
            );
        }
    }
}

#[test]
fn sessions_of_a_learner_do_not_overlap() {
    let mut last: BTreeMap<&str, (&str, HashSet<&str>)> = BTreeMap::new();
    for statement in TERM.iter() {
        let learner = statement["actor"]["account"]["name"].as_str().unwrap();
        let session = statement["context"]["registration"].as_str().unwrap();
        let (current, over) = last.entry(learner).or_default();
        if *current != session {
            over.insert(current);
            *current = session;
        }
        assert!(!over.contains(session), "learner {learner} has two sessions at once");
    }
}

/// The statements of one video player.
fn players(statements: &[Value]) -> BTreeMap<&str, Vec<&Value>> {
    let mut players: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for statement in statements {
        if let Some(session) =
            statement["context"]["extensions"][format!("{EXTENSION}session-id")].as_str()
        {
            players.entry(session).or_default().push(statement);
        }
    }
    players
}

fn number(value: &Value, name: &str) -> Option<f64> {
    value["extensions"][format!("{EXTENSION}{name}")].as_f64()
}

#[test]
fn video_plays_within_its_speed_and_length() {
    for player in players(&TERM).values() {
        assert_eq!(player[0]["verb"]["id"], iri::video::INITIALIZED);
        let length = number(&player[0]["context"], "length").unwrap();
        let speed =
            player[0]["context"]["extensions"][format!("{EXTENSION}speed")].as_str().unwrap();
        let speed: f64 = speed.trim_end_matches('x').parse().unwrap();
        for pair in player.windows(2) {
            let Some(from) = number(&pair[0]["result"], "time")
                .filter(|_| pair[0]["verb"]["id"] == iri::video::PLAYED)
            else {
                continue;
            };
            let result = &pair[1]["result"];
            let to = number(result, "time").or(number(result, "time-from")).unwrap();
            let elapsed = (millis(pair[1]) - millis(pair[0])) as f64 / 1000.0;
            assert!(from <= to && to <= length, "from {from} to {to} of {length}");
            assert!(
                to - from <= elapsed * speed + 0.01,
                "{} s of video in {elapsed} s at {speed}",
                to - from
            );
        }
    }
}

#[test]
fn video_is_completed_after_nine_tenths() {
    let completed = |statement: &&&Value| statement["verb"]["id"] == iri::video::COMPLETED;
    for player in players(&TERM).values() {
        let end = player.iter().find(completed);
        let progress = player
            .iter()
            .filter_map(|statement| number(&statement["result"], "progress"))
            .fold(0.0, f64::max);
        assert!(progress <= 1.0);
        assert!(end.is_none_or(|end| number(&end["result"], "progress").unwrap() >= 0.9));
        let at_end = player.iter().any(|statement| {
            number(&statement["result"], "time") == number(&statement["context"], "length")
        });
        assert!(
            end.is_some() || progress < 0.9 || !at_end,
            "watched to the end, but not completed: {player:?}"
        );
    }
}

#[test]
fn term_has_data_for_every_chart() {
    let distinct = |key: &dyn Fn(&Value) -> Option<String>| {
        TERM.iter().filter_map(key).collect::<HashSet<_>>().len()
    };
    let extension = |name: &'static str| {
        move |statement: &Value| {
            statement["context"]["extensions"][name].as_str().map(str::to_owned)
        }
    };
    assert_eq!(distinct(&extension(iri::context::COURSE_ID)), 8);
    assert_eq!(distinct(&extension(iri::context::COHORT)), 4);
    assert_eq!(distinct(&extension(iri::context::ACTIVITY_KIND)), 9);
    assert!(
        distinct(&|statement| statement["actor"]["account"]["name"].as_str().map(str::to_owned))
            > 280
    );
    let video = |statement: &Value| {
        let is_video = statement["object"]["definition"]["type"] == iri::video::ACTIVITY_TYPE;
        is_video.then(|| statement["object"]["id"].to_string())
    };
    assert_eq!(distinct(&video), 40);
    assert_eq!(
        distinct(&|statement| Some(statement["timestamp"].as_str()?[..10].to_owned())).min(103),
        103
    );
}

#[test]
fn statements_have_no_unfilled_slot() {
    assert!(!bytes(1, TERM_STATEMENTS, 1000).contains(&b'$'));
}
