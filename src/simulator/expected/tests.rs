//! Computes the figures independently: from the statements and the definitions.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::*;
use crate::simulator::cases;
use crate::simulator::dataset::{Cases, DataSet};
use crate::simulator::{Generator, Shift, TERM_STATEMENTS};
use crate::xapi::batch::Batch;

pub(super) const SEED: u64 = 11;
const EXTENSIONS: &str = "https://lastack.example.org/";
pub(super) const ACTIVITY_TYPES: [&str; 7] = [
    "https://w3id.org/xapi/acrossx/activities/page",
    "http://id.tincanapi.com/activitytype/resource",
    "http://adlnet.gov/expapi/activities/link",
    "https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/forum",
    "https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/assignment",
    "http://adlnet.gov/expapi/activities/assessment",
    "https://w3id.org/xapi/video/activity-type/video",
];

/// A statement as a row for charts.
pub(super) struct Row {
    pub statement: Value,
    pub date: String,
    week: String,
    pub weekday: i8,
    pub hour: i8,
    /// The name of the account.
    pub learner: Option<String>,
}

impl Row {
    fn new(bytes: &[u8]) -> Self {
        let statement: Value = serde_json::from_slice(bytes).unwrap();
        let time =
            text(&statement, "/timestamp").parse::<Timestamp>().unwrap().to_zoned(TimeZone::UTC);
        let week = time.date().iso_week_date();
        Self {
            date: time.date().to_string(),
            week: format!("{}-W{:02}", week.year(), week.week()),
            weekday: time.weekday().to_monday_one_offset(),
            hour: time.hour(),
            learner: statement["actor"]["account"]["name"].as_str().map(str::to_owned),
            statement,
        }
    }

    pub fn get(&self, pointer: &str) -> String {
        text(&self.statement, pointer)
    }

    fn extension(&self, name: &str) -> Option<&Value> {
        self.statement["context"]["extensions"].get(format!("{EXTENSIONS}{name}"))
    }

    pub fn extension_text(&self, name: &str) -> Option<String> {
        self.extension(name).map(|value| value.as_str().unwrap().to_owned())
    }

    pub fn verb(&self) -> String {
        self.get("/verb/id").rsplit('/').next().unwrap().to_owned()
    }

    pub fn activity_type(&self) -> String {
        self.get("/object/definition/type")
    }

    pub fn is_video(&self) -> bool {
        self.activity_type().ends_with("activity-type/video")
    }
}

fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .unwrap_or_else(|| panic!("no {pointer} in {value}"))
        .as_str()
        .unwrap()
        .to_owned()
}

fn counts<'a>(
    rows: impl IntoIterator<Item = &'a Row>,
    key: impl Fn(&Row) -> Option<String>,
) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for key in rows.into_iter().filter_map(key) {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

fn distinct<'a>(
    rows: impl IntoIterator<Item = &'a Row>,
    key: impl Fn(&Row) -> String,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut sets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        sets.entry(key(row)).or_default().extend(row.learner.clone());
    }
    sets
}

fn sizes(sets: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, usize> {
    sets.iter().map(|(key, set)| (key.clone(), set.len())).collect()
}

fn videos(rows: &[Row]) -> Value {
    let mut by_video: BTreeMap<String, BTreeMap<String, Vec<&Row>>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.is_video()) {
        by_video.entry(row.get("/object/id")).or_default().entry(row.verb()).or_default().push(row);
    }
    let figures = |mut verbs: BTreeMap<String, Vec<&Row>>| {
        let mut of = |verb: &str| verbs.remove(verb).unwrap_or_default();
        let learners = |rows: &[&Row]| {
            rows.iter().flat_map(|row| row.learner.clone()).collect::<BTreeSet<_>>()
        };
        let minutes = |rows: Vec<&Row>| {
            counts(rows, |row| row.extension("video-minute").map(Value::to_string))
        };
        let played = of("played");
        let (started, completed) = (learners(&played), learners(&of("completed")));
        json!({
            "abandoned": started.iter().filter(|learner| !completed.contains(*learner)).count(),
            "completed": completed.len(),
            "course": played[0].extension_text("course-id"),
            "length": played[0].statement["context"]["extensions"]["https://w3id.org/xapi/video/extensions/length"],
            "name": played[0].get("/object/definition/name/en"),
            "pauses_per_minute": minutes(of("paused")),
            "seeks_per_minute": minutes(of("seeked")),
            "started": started.len(),
        })
    };
    by_video.into_iter().map(|(id, verbs)| (id, figures(verbs))).collect()
}

fn completion_by_cohort(rows: &[Row]) -> BTreeMap<String, BTreeMap<&str, u64>> {
    let pairs = |verb: &str| -> BTreeSet<(String, String, String)> {
        let watching = rows.iter().filter(|row| row.is_video() && row.verb() == verb);
        watching
            .map(|row| {
                let learner = row.learner.clone().unwrap();
                (row.extension_text("cohort").unwrap(), learner, row.get("/object/id"))
            })
            .collect()
    };
    let mut cohorts: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    for (name, pairs) in [("started", pairs("played")), ("completed", pairs("completed"))] {
        for (cohort, ..) in pairs {
            *cohorts.entry(cohort).or_default().entry(name).or_default() += 1;
        }
    }
    cohorts
}

fn quizzes_by_course(rows: &[Row]) -> BTreeMap<String, Value> {
    let mut scores: BTreeMap<String, Vec<(f64, bool)>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.statement["result"].get("score").is_some()) {
        let result = &row.statement["result"];
        let score =
            (result["score"]["scaled"].as_f64().unwrap(), result["success"].as_bool().unwrap());
        scores.entry(row.extension_text("course-id").unwrap()).or_default().push(score);
    }
    let figures = |scores: Vec<(f64, bool)>| {
        let mean = scores.iter().map(|(scaled, _)| scaled).sum::<f64>() / scores.len() as f64;
        json!({
            "attempts": scores.len(),
            "mean_scaled_score": (mean * 10_000.0).round() / 10_000.0,
            "passed": scores.iter().filter(|(_, passed)| *passed).count(),
        })
    };
    scores.into_iter().map(|(course, scores)| (course, figures(scores))).collect()
}

fn activities(rows: &[Row]) -> BTreeMap<String, Value> {
    let used = || rows.iter().filter(|row| ACTIVITY_TYPES.contains(&row.activity_type().as_str()));
    let counts = counts(used(), |row| Some(row.get("/object/id")));
    used()
        .map(|row| {
            let id = row.get("/object/id");
            let figures = json!({
                "kind": row.extension_text("activity-kind"),
                "name": row.get("/object/definition/name/en"),
                "statements": counts[&id],
            });
            (id, figures)
        })
        .collect()
}

fn recount(rows: &[Row]) -> Value {
    let active_days = distinct(rows, |row| row.date.clone());
    let active_weeks = distinct(rows, |row| row.week.clone());
    let learners: BTreeSet<&String> = rows.iter().flat_map(|row| &row.learner).collect();
    let returning = learners
        .iter()
        .filter(|learner| active_days.values().filter(|day| day.contains(**learner)).count() > 1);
    let returning_in = |week: &String| {
        let is_returning = |learner: &&String| {
            active_weeks.range(..week.clone()).any(|(_, earlier)| earlier.contains(*learner))
        };
        active_weeks[week].iter().filter(is_returning).count()
    };
    let mut hours = vec![vec![0; 24]; 7];
    for row in rows {
        hours[row.weekday as usize - 1][row.hour as usize] += 1;
    }
    let activities = activities(rows);
    let mut by_use: Vec<(u64, &String)> = activities
        .iter()
        .map(|(id, figures)| (figures["statements"].as_u64().unwrap(), id))
        .collect();
    by_use.sort();
    let least: Vec<_> = by_use.iter().take(10).map(|(_, id)| id).collect();
    let mut descending = by_use.clone();
    descending.sort_by(|(a_count, a), (b_count, b)| b_count.cmp(a_count).then(a.cmp(b)));
    let most: Vec<_> = descending.iter().take(10).map(|(_, id)| id).collect();
    let timestamps: BTreeSet<String> = rows.iter().map(|row| row.get("/timestamp")).collect();
    json!({
        "active_learners_per_day": sizes(&active_days),
        "active_learners_per_week": sizes(&active_weeks),
        "activities": activities,
        "completion_by_cohort": completion_by_cohort(rows),
        "count": rows.len(),
        "definitions": DEFINITIONS.into_iter().collect::<BTreeMap<_, _>>(),
        "first_timestamp": timestamps.first(),
        "hours_of_the_week": (1..).zip(hours).map(|(day, hours)| (day.to_string(), json!(hours))).collect::<Value>(),
        "learners": learners.len(),
        "least_used_activities": least,
        "most_used_activities": most,
        "newest_timestamp": timestamps.last(),
        "quizzes_by_course": quizzes_by_course(rows),
        "returning_learners": returning.count(),
        "returning_learners_per_week": active_weeks.keys().map(|week| (week.clone(), json!(returning_in(week)))).collect::<Value>(),
        "seed": SEED,
        "statements_per_activity_kind": counts(rows, |row| row.extension_text("activity-kind")),
        "statements_per_activity_type": counts(rows, |row| Some(row.activity_type())),
        "statements_per_course": counts(rows, |row| row.extension_text("course-id")),
        "statements_per_day": counts(rows, |row| Some(row.date.clone())),
        "statements_per_verb": counts(rows, |row| Some(row.get("/verb/id"))),
        "version": 1,
        "videos": videos(rows),
    })
}

/// The statements of a term, and their expected results.
pub(super) fn observed(data_set: DataSet) -> (Vec<Row>, ExpectedResults) {
    let DataSet { seed, count, shift, .. } = data_set;
    let (mut batch, mut collector) = (Batch::new(), Collector::new(shift));
    Generator::new(seed, shift).fill_and_observe(&mut batch, count as usize, |event, learner| {
        collector.observe(event, learner)
    });
    let rows = |batch: &Batch| {
        (0..batch.len()).map(|index| Row::new(batch.statement(index))).collect::<Vec<_>>()
    };
    let mut stored = rows(&batch);
    let mut cases = data_set.planted_cases();
    if let Some(cases) = &mut cases {
        while cases.fill(&mut batch, 100) {
            stored.extend(rows(&batch));
        }
        cases.stored().for_each(|(event, learner)| collector.observe(event, learner));
    }
    // an LRS stores each id once
    let mut ids = BTreeSet::new();
    stored.retain(|row| ids.insert(row.get("/id")));
    (stored, collector.expected_results(seed, cases.as_ref()))
}

/// A term without cases.
pub(super) fn term() -> DataSet {
    DataSet::new(SEED, TERM_STATEMENTS)
}

/// A shift to a term that crosses a new year, and a leap day.
pub(super) fn shifted() -> Shift {
    Shift::until("2028-03-12T00:00:00Z".parse().unwrap()).unwrap()
}

#[test]
fn expected_results_match_statements() {
    let (rows, results) = observed(term());
    compare(results, &recount(&rows));
}

#[test]
fn expected_results_of_a_shifted_term_match_its_statements() {
    let (rows, results) = observed(DataSet { shift: shifted(), ..term() });
    assert_eq!(rows[0].date, "2027-11-29");
    let mut expected = recount(&rows);
    expected["weeks_shifted"] = json!(shifted().weeks());
    expected["definitions"]["weeks_shifted"] = json!(WEEKS_SHIFTED);
    compare(results, &expected);
}

#[test]
fn expected_results_with_cases_match_statements() {
    for count in [0, TERM_STATEMENTS] {
        let data_set = DataSet { count, cases: Cases::Included, ..term() };
        let (rows, mut results) = observed(data_set);
        assert!(results.cases.take().is_some(), "the tests of cases cover these");
        let mut expected = recount(&rows);
        expected["definitions"]["cases"] = json!(cases::DEFINITION);
        if count == 0 {
            // each video is listed, also without a viewer
            expected.as_object_mut().unwrap().remove("videos");
            results.videos.clear();
        }
        compare(results, &expected);
    }
}

fn compare(results: ExpectedResults, expected: &Value) {
    let mut results = serde_json::to_value(results).unwrap();
    // the tests of charts cover these
    results.as_object_mut().unwrap().remove("charts");
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&results[name], value, "{name}");
    }
    results.as_object_mut().unwrap().retain(|_, value| *value != json!({}));
    let expected = expected.as_object().unwrap().values().filter(|value| **value != json!({}));
    assert_eq!(results.as_object().unwrap().len(), expected.count());
}

#[test]
fn keys_are_sorted_and_every_definition_has_a_figure() {
    let text =
        serde_json::to_string_pretty(&Collector::new(Shift::NONE).expected_results(SEED, None))
            .unwrap();
    let keys: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("  \"")?.split('"').next()).collect();
    assert!(keys.is_sorted(), "{keys:?}");
    assert!(DEFINITIONS.iter().all(|(figure, _)| keys.contains(figure)), "{keys:?}");
}
