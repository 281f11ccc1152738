//! The expected results of the chart queries in `dashboards/charts`, counted event by event.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::counts::{Counts, VideoIndex};
use crate::simulator::catalogue::COURSES;
use crate::simulator::event::{Action, Details, Event, VideoVerb};
use crate::simulator::learner::{COHORTS, LearnerNumber, Profile};
use crate::simulator::term::{DAY, START};
use crate::simulator::{Shift, render, shapes, vocabulary};
use crate::xapi::iri::moodle;

/// The number of activities in the charts of the most and least used.
const LISTED: usize = 8;
/// The number of statements in the chart of the newest.
const NEWEST: usize = 20;
/// The share of a video in thousandths. A viewer who leaves before it leaves early.
const WATCHED: u32 = 900;
const WEEKDAYS: [&str; 7] =
    ["1 Monday", "2 Tuesday", "3 Wednesday", "4 Thursday", "5 Friday", "6 Saturday", "7 Sunday"];
/// The columns of the chart of statements that have no account, among others.
const ODD: [&str; 4] = ["stored", "id", "verb.id", "object.id"];
const STOPS: [&str; 3] = ["paused", "seeked", "terminated"];

pub type Charts = BTreeMap<&'static str, Chart>;
type Rows = Vec<Vec<Value>>;

#[derive(Debug, Serialize)]
pub struct Chart {
    /// The labels of the query's columns.
    pub columns: Vec<&'static str>,
    #[serde(flatten)]
    pub content: Content,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Rows in any order. A day has the form `2026-02-23`.
    Rows(Rows),
    /// Sums of the columns, for a chart whose rows depend on the time of storage or on the disks of the data lake.
    Sums(BTreeMap<&'static str, u64>),
}

/// The counts of charts beyond the other figures. Memory grows with the number of learners, not of statements.
#[derive(Default)]
pub struct Observed {
    /// By account. Learners who are identified by mail have none.
    learners: BTreeMap<Option<LearnerNumber>, Activity>,
    course_visitors: BTreeSet<(usize, LearnerNumber)>,
    /// By the platform, Moodle or the video player, and by the home page of the learner.
    sources: BTreeMap<(bool, Option<&'static str>), Source>,
    videos: BTreeMap<VideoIndex, Watched>,
    cohorts: BTreeMap<usize, Watched>,
    /// By the first day of the week.
    viewings: BTreeMap<i64, u64>,
    /// The current week and its viewings.
    current_week: (i64, BTreeSet<(u32, u32)>),
    /// By video and minute, in the order of [`STOPS`].
    stops: BTreeMap<(VideoIndex, u32), [u64; 3]>,
    /// By time and number: the cells after the timestamp.
    newest: BTreeMap<(i64, u64), Vec<Value>>,
    events: u64,
}

/// The activity of one learner.
struct Activity {
    events: u64,
    oldest: i64,
    newest: i64,
}

#[derive(Default)]
struct Source {
    events: u64,
    learners: BTreeSet<LearnerNumber>,
    newest: i64,
}

#[derive(Default)]
struct Watched {
    learners: BTreeSet<LearnerNumber>,
    /// The number of viewings. Each begins with one `initialized` statement.
    viewings: u64,
    completions: u64,
}

impl Observed {
    pub fn observe(&mut self, event: &Event, learner: &Profile) {
        let course = usize::from(event.course);
        self.events += 1;
        let new = || Activity { events: 0, oldest: event.time, newest: event.time };
        let account = learner.account();
        let activity = self.learners.entry(account).or_insert_with(new);
        activity.events += 1;
        activity.oldest = activity.oldest.min(event.time);
        activity.newest = activity.newest.max(event.time);
        if event.action == Action::CourseViewed {
            self.course_visitors.extend(account.map(|number| (course, number)));
        }
        let is_video = matches!(event.action, Action::Video(..));
        let source = self.sources.entry((is_video, account.map(|_| shapes::SITE))).or_default();
        source.events += 1;
        source.learners.extend(account);
        source.newest = source.newest.max(event.time);
        if let (Action::Video(unit, verb), Details::View(view)) = (event.action, &event.details) {
            let video = (course, unit);
            for watched in [
                self.videos.entry(video).or_default(),
                self.cohorts.entry(learner.cohort).or_default(),
            ] {
                watched.learners.extend(account);
                watched.viewings += u64::from(verb == VideoVerb::Initialized);
                watched.completions += u64::from(verb == VideoVerb::Completed);
            }
            self.count_viewing(event, view.number);
            let stop = match verb {
                VideoVerb::Paused => Some(0),
                VideoVerb::Seeked => Some(1),
                VideoVerb::Terminated if view.progress < WATCHED => Some(2),
                _ => None,
            };
            if let Some(stop) = stop {
                self.stops.entry((video, view.position / 60_000)).or_default()[stop] += 1;
            }
        }
        self.newest.insert((event.time, self.events), newest_row(event, learner));
        if self.newest.len() > NEWEST {
            self.newest.pop_first();
        }
    }

    /// Counts a viewing once in each week with a statement of it. Events arrive in chronological order.
    fn count_viewing(&mut self, event: &Event, number: u32) {
        let week = (event.time - START) / (7 * DAY) * 7;
        if self.current_week.0 != week {
            self.current_week = (week, BTreeSet::new());
        }
        if self.current_week.1.insert((event.group, number)) {
            *self.viewings.entry(week).or_default() += 1;
        }
    }

    fn totals(&self) -> (u64, u64) {
        self.videos.values().fold((0, 0), |(viewings, completions), video| {
            (viewings + video.viewings, completions + video.completions)
        })
    }
}

fn newest_row(event: &Event, learner: &Profile) -> Vec<Value> {
    let object = shapes::object(usize::from(event.course), event.action);
    vec![
        json!(learner.account().map(|number| number.to_string())),
        json!(last_segment(vocabulary::verb(event.action).0)),
        json!(render::numbered(&object.name, event)),
        json!(shapes::platform(event.action)),
    ]
}

/// All charts of the dashboards.
pub fn charts(counted: &Counts, observed: &Observed, shift: Shift) -> Charts {
    let (viewings, completions) = observed.totals();
    let single = |value: Value| vec![vec![value]];
    let started: BTreeSet<LearnerNumber> =
        counted.started.iter().map(|(_, learner)| *learner).collect();
    let newest_event = counted.span.map_or(Value::Null, |(_, newest)| json!(shift.text(newest)));
    let weeks = learners_by(counted, shift, |day| day / 7 * 7);
    let total = counted.count;
    let odd = observed.learners.get(&None).map_or(0, |by_mail| by_mail.events);
    Charts::from([
        ("arrivals-per-minute", sums(["stored", "events"], [("events", total)])),
        (
            "completion-by-cohort",
            rows(
                ["la_cohort", "learners", "viewings", "completions", "completion_rate"],
                cohorts(observed),
            ),
        ),
        (
            "delay-of-arrivals",
            sums(
                ["stored", "events", "mean_delay", "oldest_minute", "newest_minute"],
                [("events", total)],
            ),
        ),
        ("events", rows(["events"], single(json!(total)))),
        ("events-by-kind", rows(["activity_type", "events"], events_by_kind(counted))),
        (
            "events-by-source",
            rows(
                [
                    "context.platform",
                    "actor.account.homePage",
                    "events",
                    "learners",
                    "newest_minute",
                ],
                sources(observed, shift),
            ),
        ),
        ("events-by-verb", rows(["verb_name", "events"], events_by_verb(counted))),
        ("hours-of-the-week", rows(["hour_of_day", "day_of_week", "events"], hours(counted))),
        ("index-size", sums(["timestamp", "size"], [])),
        ("learners", rows(["learners"], single(json!(counted.cohorts.len())))),
        ("learners-per-course", rows(["activity_name", "learners"], courses(observed))),
        (
            "learners-per-day",
            rows(["timestamp", "learners"], learners_by(counted, shift, |day| day)),
        ),
        ("learners-per-week", rows(["timestamp", "learners"], weeks.clone())),
        ("learners-this-week", rows(["timestamp", "learners"], weeks)),
        (
            "least-used-activities",
            rows(["activity_name", "events"], activities(counted, |events| events)),
        ),
        ("most-used-activities", rows(["activity_name", "events"], activities(counted, Reverse))),
        ("newest-arrival", sums(["newest_arrival"], [])),
        ("newest-event", rows(["newest_event"], single(newest_event))),
        (
            "newest-statements",
            rows(
                [
                    "timestamp",
                    "actor.account.name",
                    "verb_name",
                    "activity_name",
                    "context.platform",
                ],
                newest(observed, shift),
            ),
        ),
        ("odd-statements", rows(["events"], single(json!(odd)))),
        (
            "odd-statements-list",
            match odd {
                0 => rows(ODD, Rows::new()),
                // the time of storage is not known
                _ => sums(ODD, []),
            },
        ),
        (
            "returning-learners",
            rows(
                ["actor.account.name", "events", "first_seen", "last_seen"],
                returning(observed, shift),
            ),
        ),
        ("room-left", sums(["timestamp", "room_left"], [])),
        ("video-completion-rate", rows(["completion_rate"], single(share(completions, viewings)))),
        ("video-learners", rows(["learners"], single(json!(started.len())))),
        ("video-stops", rows(["video_minute", "activity_name", "events"], stops(observed))),
        (
            "video-stops-by-minute",
            rows(["video_minute", "paused", "seeked", "terminated"], stops_by_minute(observed)),
        ),
        ("video-viewings", rows(["viewings"], single(json!(viewings)))),
        (
            "videos",
            rows(
                [
                    "activity_name",
                    "learners",
                    "viewings",
                    "completions",
                    "left_early",
                    "completion_rate",
                ],
                videos(observed),
            ),
        ),
        (
            "videos-started-and-completed",
            rows(["activity_name", "played", "completed"], started_and_completed(counted)),
        ),
        (
            "viewings-per-week",
            rows(
                ["timestamp", "viewings"],
                observed
                    .viewings
                    .iter()
                    .map(|(&day, &count)| vec![json!(shift.date(day).to_string()), json!(count)])
                    .collect(),
            ),
        ),
    ])
}

fn rows<const N: usize>(columns: [&'static str; N], rows: Rows) -> Chart {
    Chart { columns: columns.to_vec(), content: Content::Rows(rows) }
}

fn sums<const N: usize, const M: usize>(
    columns: [&'static str; N],
    sums: [(&'static str, u64); M],
) -> Chart {
    Chart { columns: columns.to_vec(), content: Content::Sums(sums.into_iter().collect()) }
}

fn counts<Key: Serialize>(counts: impl IntoIterator<Item = (Key, u64)>) -> Rows {
    counts.into_iter().map(|(key, count)| vec![json!(key), json!(count)]).collect()
}

/// The number of learners, grouped by a key of the day.
fn learners_by(counted: &Counts, shift: Shift, key: impl Fn(i64) -> i64) -> Rows {
    let mut learners: BTreeMap<i64, BTreeSet<LearnerNumber>> = BTreeMap::new();
    for &(day, learner) in &counted.active {
        learners.entry(key(day)).or_default().insert(learner);
    }
    counts(
        learners
            .into_iter()
            .map(|(day, learners)| (shift.date(day).to_string(), learners.len() as u64)),
    )
}

fn events_by_kind(counted: &Counts) -> Rows {
    counts(counted.statements_by(|course, action| {
        let kind = shapes::object(course, action).kind;
        (kind != moodle::SITE).then(|| last_segment(kind).to_owned())
    }))
}

fn events_by_verb(counted: &Counts) -> Rows {
    counts(
        counted
            .statements_by(|_, action| Some(last_segment(vocabulary::verb(action).0).to_owned())),
    )
}

fn hours(counted: &Counts) -> Rows {
    let all = WEEKDAYS.iter().zip(&counted.hours).flat_map(|(day, hours)| {
        hours.iter().enumerate().map(move |(hour, count)| (hour, day, *count))
    });
    all.filter(|(_, _, count)| *count > 0)
        .map(|(hour, day, count)| vec![json!(hour), json!(day), json!(count)])
        .collect()
}

fn courses(observed: &Observed) -> Rows {
    let mut visitors: BTreeMap<&str, u64> = BTreeMap::new();
    for &(course, _) in &observed.course_visitors {
        *visitors.entry(COURSES[course].name).or_default() += 1;
    }
    counts(visitors)
}

/// The first activities by use, then by name.
fn activities<Order: Ord>(counted: &Counts, order: impl Fn(u64) -> Order) -> Rows {
    let by_name = counted.statements_by(|course, action| {
        action.is_about_activity().then(|| shapes::object(course, action).name)
    });
    let mut by_use: Vec<(String, u64)> = by_name.into_iter().collect();
    by_use.sort_by_key(|(_, events)| order(*events));
    by_use.truncate(LISTED);
    counts(by_use)
}

fn sources(observed: &Observed, shift: Shift) -> Rows {
    let row = |(&(is_video, home_page), source): (&(bool, Option<&str>), &Source)| {
        let action = if is_video { Action::Video(0, VideoVerb::Played) } else { Action::LoggedIn };
        vec![
            json!(shapes::platform(action)),
            json!(home_page),
            json!(source.events),
            json!(source.learners.len()),
            json!(shift.minute(source.newest)),
        ]
    };
    observed.sources.iter().map(row).collect()
}

fn newest(observed: &Observed, shift: Shift) -> Rows {
    let row = |(&(time, _), cells): (&(i64, u64), &Vec<Value>)| {
        [vec![json!(shift.text(time))], cells.clone()].concat()
    };
    observed.newest.iter().map(row).collect()
}

fn returning(observed: &Observed, shift: Shift) -> Rows {
    let row = |(account, learner): (&Option<LearnerNumber>, &Activity)| {
        let day = |time| json!(shift.day(time).to_string());
        let [first, last] = [learner.oldest, learner.newest].map(day);
        let name = json!(account.map(|number| number.to_string()));
        (first != last).then(|| vec![name, json!(learner.events), first, last])
    };
    observed.learners.iter().filter_map(row).collect()
}

fn cohorts(observed: &Observed) -> Rows {
    let row = |(cohort, Watched { learners, viewings, completions }): (&usize, &Watched)| {
        vec![
            json!(COHORTS[*cohort].name),
            json!(learners.len()),
            json!(viewings),
            json!(completions),
            share(*completions, *viewings),
        ]
    };
    observed.cohorts.iter().map(row).collect()
}

fn videos(observed: &Observed) -> Rows {
    let row = |(video, Watched { learners, viewings, completions }): (&VideoIndex, &Watched)| {
        let rate = share(*completions, *viewings);
        vec![
            json!(title(*video)),
            json!(learners.len()),
            json!(viewings),
            json!(completions),
            json!(viewings - completions),
            rate,
        ]
    };
    observed.videos.iter().map(row).collect()
}

fn started_and_completed(counted: &Counts) -> Rows {
    let mut learners: BTreeMap<VideoIndex, [u64; 2]> = BTreeMap::new();
    for (column, pairs) in [&counted.started, &counted.completed].into_iter().enumerate() {
        for (video, _) in pairs {
            learners.entry(*video).or_default()[column] += 1;
        }
    }
    learners
        .into_iter()
        .map(|(video, counts)| {
            [vec![json!(title(video))], counts.map(count_or_null).to_vec()].concat()
        })
        .collect()
}

fn stops(observed: &Observed) -> Rows {
    let row = |(&(video, minute), counts): (&(VideoIndex, u32), &[u64; 3])| {
        vec![json!(minute), json!(title(video)), json!(counts.iter().sum::<u64>())]
    };
    observed.stops.iter().map(row).collect()
}

fn stops_by_minute(observed: &Observed) -> Rows {
    let mut minutes: BTreeMap<u32, [u64; STOPS.len()]> = BTreeMap::new();
    for (&(_, minute), counts) in &observed.stops {
        let sums = minutes.entry(minute).or_default();
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    minutes
        .into_iter()
        .map(|(minute, counts)| [vec![json!(minute)], counts.map(count_or_null).to_vec()].concat())
        .collect()
}

/// A series has no value for a count of 0.
fn count_or_null(count: u64) -> Value {
    if count > 0 { json!(count) } else { Value::Null }
}

fn share(number: u64, whole: u64) -> Value {
    if whole > 0 { json!(number as f64 / whole as f64) } else { Value::Null }
}

fn title((course, unit): VideoIndex) -> &'static str {
    COURSES[course].units[unit].title
}

/// The last segment of an IRI, which charts show.
fn last_segment(iri: &str) -> &str {
    iri.rsplit('/').next().unwrap_or(iri)
}
