//! The expected results of dashboards for a generated data set, counted during its generation.

#[cfg(test)]
mod chart_tests;
mod charts;
mod collector;
mod counts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

use super::cases::PlantedResults;

pub use charts::Charts;
pub use collector::Collector;

/// The version of the format. It increases when a figure changes its meaning or is removed.
const VERSION: u32 = 1;

/// The definitions of the figures, which the file contains as well.
pub const DEFINITIONS: [(&str, &str); 17] = [
    (
        "activities",
        "statements about each page, file, link, forum, assignment, quiz (not its attempts) and video",
    ),
    ("active_learners_per_day", "learners with at least one statement on that day (UTC)"),
    ("active_learners_per_week", "learners with at least one statement in that ISO week (UTC)"),
    (
        "charts",
        "what the query of each chart in dashboards/charts returns for these statements alone: its columns and their rows in any \
         order, or, of a chart by the time of storing, what columns add up to",
    ),
    (
        "completion_by_cohort",
        "started: pairs of a learner of the cohort and a video that the learner played; completed: those of them with a completed statement",
    ),
    (
        "hours_of_the_week",
        "statements by ISO day of the week (1 is Monday) and hour of the day from 0 to 23 (UTC)",
    ),
    (
        "least_used_activities",
        "the ten activities with the fewest statements, fewest first, then by id",
    ),
    ("most_used_activities", "the ten activities with the most statements, most first, then by id"),
    (
        "quizzes_by_course",
        "finished attempts, those with success, and the mean of their scaled scores to four digits",
    ),
    ("returning_learners", "learners with statements on at least two days (UTC)"),
    (
        "returning_learners_per_week",
        "learners of that ISO week who were active in an earlier one too (UTC)",
    ),
    ("statements_per_activity_kind", "by the context extension activity-kind"),
    ("statements_per_activity_type", "by object.definition.type"),
    (
        "statements_per_course",
        "by the context extension course-id; logins and logouts have none and are not counted",
    ),
    ("statements_per_day", "by the date of timestamp (UTC)"),
    ("statements_per_verb", "by verb.id"),
    (
        "videos",
        "started: learners with a played statement; completed: learners with a completed statement; abandoned: learners who \
         started and did not complete it; pauses_per_minute and seeks_per_minute: paused and seeked statements by the context \
         extension video-minute, which for a seek is where it began",
    ),
];

/// The definition of the figure that only a shifted data set has.
const WEEKS_SHIFTED: &str =
    "the number of weeks by which all dates are later than without --until; earlier when negative";

/// The content of `expected-results.json`. All keys are in alphabetical order.
#[derive(Debug, Serialize)]
pub struct ExpectedResults {
    pub active_learners_per_day: BTreeMap<String, u64>,
    pub active_learners_per_week: BTreeMap<String, u64>,
    pub activities: BTreeMap<String, Activity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cases: Option<PlantedResults>,
    pub charts: Charts,
    pub completion_by_cohort: BTreeMap<String, Completion>,
    pub count: u64,
    pub definitions: BTreeMap<&'static str, &'static str>,
    pub first_timestamp: String,
    pub hours_of_the_week: BTreeMap<u8, [u64; 24]>,
    pub learners: u64,
    pub least_used_activities: Vec<String>,
    pub most_used_activities: Vec<String>,
    pub newest_timestamp: String,
    pub quizzes_by_course: BTreeMap<String, Quizzes>,
    pub returning_learners: u64,
    pub returning_learners_per_week: BTreeMap<String, u64>,
    pub seed: u64,
    pub statements_per_activity_kind: BTreeMap<String, u64>,
    pub statements_per_activity_type: BTreeMap<String, u64>,
    pub statements_per_course: BTreeMap<String, u64>,
    pub statements_per_day: BTreeMap<String, u64>,
    pub statements_per_verb: BTreeMap<String, u64>,
    pub version: u32,
    pub videos: BTreeMap<String, Video>,
    /// The number of weeks between the dates of the data set in this repository and these.
    #[serde(skip_serializing_if = "is_zero")]
    pub weeks_shifted: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[derive(Debug, Serialize)]
pub struct Activity {
    pub kind: &'static str,
    pub name: String,
    pub statements: u64,
}

#[derive(Debug, Default, Serialize)]
pub struct Completion {
    pub completed: u64,
    pub started: u64,
}

#[derive(Debug, Serialize)]
pub struct Quizzes {
    pub attempts: u64,
    pub mean_scaled_score: f64,
    pub passed: u64,
}

#[derive(Debug, Serialize)]
pub struct Video {
    pub abandoned: u64,
    pub completed: u64,
    pub course: &'static str,
    /// In seconds.
    pub length: u32,
    pub name: &'static str,
    pub pauses_per_minute: BTreeMap<u32, u64>,
    pub seeks_per_minute: BTreeMap<u32, u64>,
    pub started: u64,
}
