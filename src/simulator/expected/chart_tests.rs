//! Computes the expected results of charts independently: groups the statements as SQL does.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::tests::{ACTIVITY_TYPES, Row, SEED, observed, shifted, term};
use super::{Collector, ExpectedResults};
use crate::simulator::Shift;
use crate::simulator::dataset::{Cases, DEFAULT_COUNT, DEFAULT_SEED, DataSet};

const VIDEO_EXTENSIONS: &str = "https://w3id.org/xapi/video/extensions/";
const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

type Metric = fn(&[&Row]) -> Value;

/// `SELECT keys, metrics GROUP BY keys`, without rows that have no keys.
fn group(
    rows: &[Row],
    keys: impl Fn(&Row) -> Option<Vec<Value>>,
    metrics: &[Metric],
) -> Vec<Vec<Value>> {
    let mut groups: BTreeMap<String, (Vec<Value>, Vec<&Row>)> = BTreeMap::new();
    for row in rows {
        if let Some(keys) = keys(row) {
            groups.entry(json!(keys).to_string()).or_insert_with(|| (keys, Vec::new())).1.push(row);
        }
    }
    groups
        .into_values()
        .map(|(keys, rows)| [keys, metrics.iter().map(|metric| metric(&rows)).collect()].concat())
        .collect()
}

/// The same without keys: one row, also when no statement is selected.
fn total(
    rows: &[Row],
    keys: impl Fn(&Row) -> Option<Vec<Value>>,
    metric: Metric,
) -> Vec<Vec<Value>> {
    let lines = group(rows, keys, &[metric]);
    if lines.is_empty() { vec![vec![metric(&[])]] } else { lines }
}

/// Converts the values of the second column to columns.
fn pivot(rows: Vec<Vec<Value>>, series: &[&str]) -> Vec<Vec<Value>> {
    let mut lines: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for row in rows {
        let line = lines
            .entry(row[0].to_string())
            .or_insert_with(|| [vec![row[0].clone()], vec![Value::Null; series.len()]].concat());
        let column = series.iter().position(|name| row[1] == **name).unwrap();
        line[column + 1] = row[2].clone();
    }
    lines.into_values().collect()
}

fn distinct(rows: &[&Row], value: impl Fn(&Row) -> Option<String>) -> usize {
    rows.iter().filter_map(|row| value(row)).collect::<std::collections::BTreeSet<_>>().len()
}

fn events(rows: &[&Row]) -> Value {
    json!(rows.len())
}

fn learners(rows: &[&Row]) -> Value {
    json!(distinct(rows, |row| row.learner.clone()))
}

fn viewing_count(rows: &[&Row]) -> usize {
    distinct(rows, |row| {
        Some(
            row.statement["context"]["extensions"]
                .get(format!("{VIDEO_EXTENSIONS}session-id"))?
                .to_string(),
        )
    })
}

fn completion_count(rows: &[&Row]) -> usize {
    rows.iter().filter(|row| row.statement["result"]["completion"] == true).count()
}

fn viewings(rows: &[&Row]) -> Value {
    json!(viewing_count(rows))
}

fn completions(rows: &[&Row]) -> Value {
    json!(completion_count(rows))
}

fn left_early(rows: &[&Row]) -> Value {
    json!(viewing_count(rows) - completion_count(rows))
}

fn completion_rate(rows: &[&Row]) -> Value {
    json!(completion_count(rows) as f64 / viewing_count(rows) as f64)
}

fn newest_event(rows: &[&Row]) -> Value {
    json!(rows.iter().map(|row| row.get("/timestamp")).max())
}

fn newest_minute(rows: &[&Row]) -> Value {
    json!(newest_event(rows).as_str().unwrap()[..16])
}

fn first_seen(rows: &[&Row]) -> Value {
    json!(rows.iter().map(|row| &row.date).min())
}

fn last_seen(rows: &[&Row]) -> Value {
    json!(rows.iter().map(|row| &row.date).max())
}

fn name(row: &Row) -> Value {
    json!(row.get("/object/definition/name/en"))
}

fn last_segment(iri: &str) -> Value {
    json!(iri.rsplit('/').next())
}

fn monday(row: &Row) -> Value {
    json!(
        row.date
            .parse::<Date>()
            .unwrap()
            .checked_sub(i64::from(row.weekday - 1).days())
            .unwrap()
            .to_string()
    )
}

fn platform(row: &Row) -> Value {
    row.statement["context"]["platform"].clone()
}

/// The minute at which a viewer pauses, seeks, or leaves before nine tenths of the video.
fn stop(row: &Row) -> Option<Value> {
    let extension = |name: &str| {
        row.statement["result"]["extensions"]
            .get(format!("{VIDEO_EXTENSIONS}{name}"))
            .and_then(Value::as_f64)
    };
    let stops = match row.verb().as_str() {
        "paused" | "seeked" => true,
        "terminated" => extension("progress")? < 0.9,
        _ => false,
    };
    (row.is_video() && stops)
        .then(|| json!((extension("time").or(extension("time-from")).unwrap() / 60.0) as u64))
}

fn used(rows: &[Row], descending: bool) -> Vec<Vec<Value>> {
    let mut lines = group(
        rows,
        |row| ACTIVITY_TYPES.contains(&row.activity_type().as_str()).then(|| vec![name(row)]),
        &[events],
    );
    lines.sort_by_key(|line| {
        let count = line[1].as_i64().unwrap();
        (if descending { -count } else { count }, line[0].to_string())
    });
    lines.truncate(8);
    lines
}

fn newest(rows: &[Row]) -> Vec<Vec<Value>> {
    let mut newest: Vec<&Row> = rows.iter().collect();
    newest.sort_by_key(|row| std::cmp::Reverse(row.get("/timestamp")));
    newest[..20]
        .iter()
        .map(|row| {
            vec![
                json!(row.get("/timestamp")),
                json!(row.learner),
                json!(row.verb()),
                name(row),
                platform(row),
            ]
        })
        .collect()
}

fn expected(rows: &[Row]) -> BTreeMap<&'static str, Vec<Vec<Value>>> {
    let all = |_: &Row| Some(vec![]);
    let odd = rows.iter().filter(|row| row.learner.is_none()).count();
    let video = |row: &Row| row.is_video().then(Vec::new);
    let played = |row: &Row| (row.is_video() && row.verb() == "played").then(Vec::new);
    let by_week = |row: &Row| Some(vec![monday(row)]);
    let hour_and_day = |row: &Row| {
        Some(vec![
            json!(row.hour),
            json!(format!("{} {}", row.weekday, DAYS[row.weekday as usize - 1])),
        ])
    };
    let kind = |row: &Row| {
        Some(vec![last_segment(&row.activity_type())])
            .filter(|_| !row.activity_type().ends_with("/lms"))
    };
    let course = |row: &Row| row.activity_type().ends_with("/course").then(|| vec![name(row)]);
    let learner = |row: &Row| Some(vec![json!(row.learner)]);
    let started = |row: &Row| {
        (row.is_video() && ["played", "completed"].contains(&&*row.verb()))
            .then(|| vec![name(row), json!(row.verb())])
    };
    let mut returning = group(rows, learner, &[events, first_seen, last_seen]);
    returning.retain(|line| line[2] != line[3]);
    let cohort = |row: &Row| row.is_video().then(|| vec![json!(row.extension_text("cohort"))]);
    let source = |row: &Row| {
        Some(vec![platform(row), row.statement["actor"]["account"]["homePage"].clone()])
    };
    let stops_by_verb = group(rows, |row| Some(vec![stop(row)?, json!(row.verb())]), &[events]);
    BTreeMap::from([
        (
            "completion-by-cohort",
            group(rows, cohort, &[learners, viewings, completions, completion_rate]),
        ),
        ("events", group(rows, all, &[events])),
        ("events-by-kind", group(rows, kind, &[events])),
        ("events-by-source", group(rows, source, &[events, learners, newest_minute])),
        ("events-by-verb", group(rows, |row| Some(vec![json!(row.verb())]), &[events])),
        ("hours-of-the-week", group(rows, hour_and_day, &[events])),
        ("learners", group(rows, all, &[learners])),
        ("learners-per-course", group(rows, course, &[learners])),
        ("learners-per-day", group(rows, |row| Some(vec![json!(row.date)]), &[learners])),
        ("learners-per-week", group(rows, by_week, &[learners])),
        ("learners-this-week", group(rows, by_week, &[learners])),
        ("least-used-activities", used(rows, false)),
        ("most-used-activities", used(rows, true)),
        ("newest-event", group(rows, all, &[newest_event])),
        ("newest-statements", newest(rows)),
        ("odd-statements", vec![vec![json!(odd)]]),
        ("returning-learners", returning),
        ("video-completion-rate", total(rows, video, completion_rate)),
        ("video-learners", total(rows, played, learners)),
        ("video-stops", group(rows, |row| Some(vec![stop(row)?, name(row)]), &[events])),
        ("video-stops-by-minute", pivot(stops_by_verb, &["paused", "seeked", "terminated"])),
        ("video-viewings", total(rows, video, viewings)),
        (
            "videos",
            group(
                rows,
                |row| row.is_video().then(|| vec![name(row)]),
                &[learners, viewings, completions, left_early, completion_rate],
            ),
        ),
        (
            "videos-started-and-completed",
            pivot(group(rows, started, &[learners]), &["played", "completed"]),
        ),
        (
            "viewings-per-week",
            group(rows, |row| row.is_video().then(|| vec![monday(row)]), &[viewings]),
        ),
    ])
}

fn sorted(mut rows: Vec<Vec<Value>>) -> Vec<Vec<Value>> {
    rows.sort_by_key(|row| json!(row).to_string());
    rows
}

#[test]
fn expected_results_of_charts_match_statements() {
    let (rows, results) = observed(term());
    compare(&rows, results);
}

#[test]
fn expected_results_of_charts_of_a_shifted_term_match_its_statements() {
    let (rows, results) = observed(DataSet { shift: shifted(), ..term() });
    compare(&rows, results);
}

#[test]
fn expected_results_of_charts_with_cases_match_statements() {
    for count in [0, DEFAULT_COUNT] {
        let (rows, results) = observed(DataSet { count, cases: Cases::Included, ..term() });
        compare(&rows, results);
    }
}

fn compare(rows: &[Row], results: ExpectedResults) {
    let charts = serde_json::to_value(results.charts).unwrap();
    let mut with_sums = vec![];
    let expected = expected(rows);
    for (slug, chart) in charts.as_object().unwrap() {
        let Some(lines) = chart.get("rows") else {
            with_sums.push(slug.as_str());
            assert!(
                chart["sums"].get("events").is_none_or(|events| *events == json!(rows.len())),
                "{slug}"
            );
            continue;
        };
        if slug == "odd-statements-list" {
            continue;
        }
        let lines: Vec<Vec<Value>> = serde_json::from_value(lines.clone()).unwrap();
        assert!(
            lines.iter().all(|line| line.len() == chart["columns"].as_array().unwrap().len()),
            "{slug}"
        );
        assert_eq!(sorted(lines), sorted(expected[slug.as_str()].clone()), "{slug}");
    }
    with_sums.retain(|slug| *slug != "odd-statements-list");
    assert_eq!(
        with_sums,
        ["arrivals-per-minute", "delay-of-arrivals", "index-size", "newest-arrival", "room-left"]
    );
    let has_odd = rows.iter().any(|row| row.learner.is_none());
    let list = &charts["odd-statements-list"];
    assert_eq!(list.get("rows"), (!has_odd).then(|| json!([])).as_ref());
    assert_eq!(charts.as_object().unwrap().len(), expected.len() + with_sums.len() + 1);
}

#[test]
fn every_chart_has_expected_results() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/charts");
    let mut slugs: Vec<String> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    slugs.sort();
    assert_eq!(
        Collector::new(Shift::NONE)
            .expected_results(SEED, None)
            .charts
            .into_keys()
            .collect::<Vec<_>>(),
        slugs
    );
}

/// Superset orders by one column only, so equal counts at the limit would make the charts ambiguous.
#[test]
fn most_and_least_used_activities_are_unambiguous() {
    for cases in [Cases::Omitted, Cases::Included] {
        let (rows, _) = observed(DataSet { cases, ..DataSet::new(DEFAULT_SEED, DEFAULT_COUNT) });
        assert_unambiguous(&rows);
    }
}

fn assert_unambiguous(rows: &[Row]) {
    assert!(rows.len() as u64 >= DEFAULT_COUNT);
    let lines = group(
        rows,
        |row| ACTIVITY_TYPES.contains(&row.activity_type().as_str()).then(|| vec![name(row)]),
        &[events],
    );
    let mut counts: Vec<u64> = lines.iter().map(|line| line[1].as_u64().unwrap()).collect();
    counts.sort_unstable();
    assert_ne!(counts[7], counts[8]);
    assert_ne!(counts[counts.len() - 8], counts[counts.len() - 9]);
}
