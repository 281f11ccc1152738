//! Collects expected results from generated events.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::charts::{self, Observed};
use super::counts::{Counts, VideoIndex};
use super::{
    Activity, Completion, DEFINITIONS, ExpectedResults, Quizzes, VERSION, Video, WEEKS_SHIFTED,
};
use crate::simulator::cases::{self, PlantedCases};
use crate::simulator::catalogue::{COURSES, UNITS};
use crate::simulator::event::{Action, Event, VideoVerb};
use crate::simulator::learner::{COHORTS, LearnerNumber, Profile};
use crate::simulator::shapes::{self, Object};
use crate::simulator::{Shift, vocabulary};

/// The number of activities in the lists of the most and least used.
const LISTED: usize = 10;

/// Collects events. Memory grows with the number of learners, not of statements.
pub struct Collector {
    shift: Shift,
    counts: Counts,
    observed: Observed,
}

impl Collector {
    pub fn new(shift: Shift) -> Self {
        Self { shift, counts: Counts::default(), observed: Observed::default() }
    }

    pub fn observe(&mut self, event: &Event, learner: &Profile) {
        self.counts.observe(event, learner);
        self.observed.observe(event, learner);
    }

    /// The results for the observed events, to which those of the cases belong.
    pub fn expected_results(&self, seed: u64, cases: Option<&PlantedCases>) -> ExpectedResults {
        let activities = self.activities();
        let mut by_use: Vec<(u64, &String)> =
            activities.iter().map(|(id, activity)| (activity.statements, id)).collect();
        by_use.sort();
        let least_used_activities =
            by_use.iter().take(LISTED).map(|(_, id)| (*id).clone()).collect();
        by_use.sort_by_key(|&(statements, id)| (Reverse(statements), id));
        let most_used_activities =
            by_use.iter().take(LISTED).map(|(_, id)| (*id).clone()).collect();
        let (first, newest) = self.counts.span.unwrap_or_default();
        let weeks = self.active_by(week);
        ExpectedResults {
            active_learners_per_day: sizes(&self.active_by(|date| date.to_string())),
            active_learners_per_week: sizes(&weeks),
            cases: cases.map(PlantedCases::expected_results),
            charts: charts::charts(&self.counts, &self.observed, self.shift),
            completion_by_cohort: self.completion_by_cohort(),
            count: self.counts.count,
            definitions: self.definitions(cases.is_some()),
            first_timestamp: self.shift.text(first),
            hours_of_the_week: (1..).zip(self.counts.hours).collect(),
            learners: self.counts.cohorts.len() as u64,
            least_used_activities,
            most_used_activities,
            newest_timestamp: self.shift.text(newest),
            quizzes_by_course: self.quizzes_by_course(),
            returning_learners: self.returning_learners(),
            returning_learners_per_week: returning_per_week(&weeks),
            seed,
            statements_per_activity_kind: self
                .counts
                .statements_by(|_, action| Some(vocabulary::kind(action).to_owned())),
            statements_per_activity_type: self.counts.statements_by(|course, action| {
                Some(shapes::object(course, action).kind.to_owned())
            }),
            statements_per_course: self.counts.statements_by(|course, action| {
                action.is_in_course().then(|| COURSES[course].id.to_owned())
            }),
            statements_per_day: self
                .counts
                .days
                .iter()
                .map(|(&day, &count)| (self.shift.date(day).to_string(), count))
                .collect(),
            statements_per_verb: self
                .counts
                .statements_by(|_, action| Some(vocabulary::verb(action).0.to_owned())),
            version: VERSION,
            videos: self.videos(),
            weeks_shifted: self.shift.weeks(),
            activities,
        }
    }

    fn definitions(&self, has_cases: bool) -> BTreeMap<&'static str, &'static str> {
        let shifted = (self.shift != Shift::NONE).then_some(("weeks_shifted", WEEKS_SHIFTED));
        let planted = has_cases.then_some(("cases", cases::DEFINITION));
        DEFINITIONS.into_iter().chain(shifted).chain(planted).collect()
    }

    fn activities(&self) -> BTreeMap<String, Activity> {
        let mut activities = BTreeMap::new();
        for course in 0..COURSES.len() {
            for action in Action::all().filter(|action| action.is_about_activity()) {
                let Object { id, name, .. } = shapes::object(course, action);
                let kind = vocabulary::kind(action);
                if let count @ 1.. = self.counts.statements(course, action) {
                    activities
                        .entry(id)
                        .or_insert(Activity { kind, name, statements: 0 })
                        .statements += count;
                }
            }
        }
        activities
    }

    fn active_by(&self, key: impl Fn(Date) -> String) -> BTreeMap<String, BTreeSet<LearnerNumber>> {
        let mut learners: BTreeMap<String, BTreeSet<LearnerNumber>> = BTreeMap::new();
        for &(day, learner) in &self.counts.active {
            learners.entry(key(self.shift.date(day))).or_default().insert(learner);
        }
        learners
    }

    fn returning_learners(&self) -> u64 {
        let mut days: BTreeMap<LearnerNumber, u64> = BTreeMap::new();
        for &(_, learner) in &self.counts.active {
            *days.entry(learner).or_default() += 1;
        }
        days.values().filter(|&&days| days > 1).count() as u64
    }

    fn completion_by_cohort(&self) -> BTreeMap<String, Completion> {
        let mut cohorts: BTreeMap<String, Completion> = BTreeMap::new();
        for (video, learner) in &self.counts.started {
            let completion =
                cohorts.entry(COHORTS[self.counts.cohorts[learner]].name.to_owned()).or_default();
            completion.started += 1;
            completion.completed += u64::from(self.counts.completed.contains(&(*video, *learner)));
        }
        cohorts
    }

    fn quizzes_by_course(&self) -> BTreeMap<String, Quizzes> {
        let quizzes = |&(attempts, passed, sum): &(u64, u64, u64)| {
            // a half point is a twentieth of the scaled score: 500 ten-thousandths
            let mean = (sum * 1000 / attempts).div_ceil(2);
            Quizzes { attempts, mean_scaled_score: mean as f64 / 10_000.0, passed }
        };
        self.counts
            .quizzes
            .iter()
            .map(|(&course, sums)| (COURSES[course].id.to_owned(), quizzes(sums)))
            .collect()
    }

    fn videos(&self) -> BTreeMap<String, Video> {
        let mut videos = BTreeMap::new();
        for (index, course) in COURSES.iter().enumerate() {
            for unit in 0..UNITS {
                let video = (index, unit);
                let learners = |set: &BTreeSet<(VideoIndex, LearnerNumber)>| {
                    set.range((video, 0)..=(video, LearnerNumber::MAX))
                        .map(|(_, learner)| *learner)
                        .collect::<BTreeSet<_>>()
                };
                let (started, completed) =
                    (learners(&self.counts.started), learners(&self.counts.completed));
                let figures = Video {
                    abandoned: started.difference(&completed).count() as u64,
                    completed: completed.len() as u64,
                    course: course.id,
                    length: course.units[unit].video.length,
                    name: course.units[unit].title,
                    pauses_per_minute: self.counts.pauses.get(&video).cloned().unwrap_or_default(),
                    seeks_per_minute: self.counts.seeks.get(&video).cloned().unwrap_or_default(),
                    started: started.len() as u64,
                };
                videos.insert(
                    shapes::object(index, Action::Video(unit, VideoVerb::Played)).id,
                    figures,
                );
            }
        }
        videos
    }
}

fn sizes(sets: &BTreeMap<String, BTreeSet<LearnerNumber>>) -> BTreeMap<String, u64> {
    sets.iter().map(|(key, set)| (key.clone(), set.len() as u64)).collect()
}

fn returning_per_week(weeks: &BTreeMap<String, BTreeSet<LearnerNumber>>) -> BTreeMap<String, u64> {
    let mut known = BTreeSet::new();
    let mut returning = BTreeMap::new();
    for (week, learners) in weeks {
        returning.insert(week.clone(), learners.intersection(&known).count() as u64);
        known.extend(learners);
    }
    returning
}

/// The ISO week of a date, such as `2026-W09`.
fn week(date: Date) -> String {
    let week = date.iso_week_date();
    format!("{}-W{:02}", week.year(), week.week())
}
