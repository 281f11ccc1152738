//! Counts what the generator makes, event by event, and sums it up as answers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::charts::{self, Observed};
use super::{Activity, Answers, Completion, DEFINITIONS, Quizzes, VERSION, Video};
use crate::xapi::generator::catalogue::{COURSES, UNITS};
use crate::xapi::generator::event::{Action, Details, Event, VideoVerb};
use crate::xapi::generator::learner::{COHORTS, Learner};
use crate::xapi::generator::shapes::{self, Object};
use crate::xapi::generator::term::{DAY, HOUR, START};
use crate::xapi::generator::vocabulary;

/// How many activities the lists of the most and least used name.
const LISTED: usize = 10;

/// A learner's number in Moodle.
pub(super) type LearnerNumber = u32;
/// Index of a course and of a unit in it.
pub(super) type VideoIndex = (usize, usize);

/// Its memory grows with the learners, not with the statements.
#[derive(Default)]
pub struct Collector {
    pub(super) count: u64,
    actions: BTreeMap<(usize, usize), u64>,
    days: BTreeMap<i64, u64>,
    pub(super) hours: [[u64; 24]; 7],
    pub(super) active: BTreeSet<(i64, LearnerNumber)>,
    pub(super) started: BTreeSet<(VideoIndex, LearnerNumber)>,
    pub(super) completed: BTreeSet<(VideoIndex, LearnerNumber)>,
    pub(super) cohorts: BTreeMap<LearnerNumber, usize>,
    pauses: BTreeMap<VideoIndex, BTreeMap<u32, u64>>,
    seeks: BTreeMap<VideoIndex, BTreeMap<u32, u64>>,
    /// By course: attempts, successes, and the sum of the half points.
    quizzes: BTreeMap<usize, (u64, u64, u64)>,
    pub(super) span: Option<(i64, i64)>,
    pub(super) observed: Observed,
}

impl Collector {
    pub fn observe(&mut self, event: &Event, learner: &Learner) {
        let course = usize::from(event.course);
        let day = (event.time - START) / DAY;
        self.count += 1;
        self.observed.observe(event, learner);
        *self.actions.entry((course, event.action.number())).or_default() += 1;
        *self.days.entry(day).or_default() += 1;
        // The term begins on a Monday.
        self.hours[(day % 7) as usize][((event.time - START) / HOUR % 24) as usize] += 1;
        self.active.insert((day, learner.number));
        self.cohorts.insert(learner.number, learner.cohort);
        let (first, newest) = self.span.unwrap_or((event.time, event.time));
        self.span = Some((first.min(event.time), newest.max(event.time)));
        match (&event.details, event.action) {
            (Details::View(view), Action::Video(unit, verb)) => {
                let video = (course, unit);
                let count_minute = |minutes: &mut BTreeMap<VideoIndex, BTreeMap<u32, u64>>| {
                    *minutes
                        .entry(video)
                        .or_default()
                        .entry(view.position / 60_000)
                        .or_default() += 1;
                };
                match verb {
                    VideoVerb::Played => _ = self.started.insert((video, learner.number)),
                    VideoVerb::Completed => _ = self.completed.insert((video, learner.number)),
                    VideoVerb::Paused => count_minute(&mut self.pauses),
                    VideoVerb::Seeked => count_minute(&mut self.seeks),
                    VideoVerb::Initialized | VideoVerb::Terminated => {}
                }
            }
            (Details::Score { half_points, .. }, _) => {
                let (attempts, passed, sum) = self.quizzes.entry(course).or_default();
                *attempts += 1;
                *passed += u64::from(*half_points >= shapes::PASSED);
                *sum += u64::from(*half_points);
            }
            _ => {}
        }
    }

    pub fn answers(&self, seed: u64) -> Answers {
        let activities = self.activities();
        let mut by_use: Vec<(u64, &String)> =
            activities.iter().map(|(id, activity)| (activity.statements, id)).collect();
        by_use.sort();
        let least_used_activities =
            by_use.iter().take(LISTED).map(|(_, id)| (*id).clone()).collect();
        by_use.sort_by_key(|&(statements, id)| (Reverse(statements), id));
        let most_used_activities =
            by_use.iter().take(LISTED).map(|(_, id)| (*id).clone()).collect();
        let (first, newest) = self.span.unwrap_or_default();
        let weeks = self.active_by(week);
        Answers {
            active_learners_per_day: sizes(&self.active_by(|date| date.to_string())),
            active_learners_per_week: sizes(&weeks),
            charts: charts::charts(self),
            completion_by_cohort: self.completion_by_cohort(),
            count: self.count,
            definitions: DEFINITIONS.into_iter().collect(),
            first_timestamp: timestamp(first),
            hours_of_the_week: (1..).zip(self.hours).collect(),
            learners: self.cohorts.len() as u64,
            least_used_activities,
            most_used_activities,
            newest_timestamp: timestamp(newest),
            quizzes_by_course: self.quizzes_by_course(),
            returning_learners: self.returning_learners(),
            returning_learners_per_week: returning_per_week(&weeks),
            seed,
            statements_per_activity_kind: self
                .statements_by(|_, action| Some(vocabulary::kind(action).to_owned())),
            statements_per_activity_type: self.statements_by(|course, action| {
                Some(shapes::object(course, action).kind.to_owned())
            }),
            statements_per_course: self.statements_by(|course, action| {
                action.is_in_course().then(|| COURSES[course].id.to_owned())
            }),
            statements_per_day: self
                .days
                .iter()
                .map(|(&day, &count)| (date(day).to_string(), count))
                .collect(),
            statements_per_verb: self
                .statements_by(|_, action| Some(vocabulary::verb(action).0.to_owned())),
            version: VERSION,
            videos: self.videos(),
            activities,
        }
    }

    fn statements(&self, course: usize, action: Action) -> u64 {
        self.actions.get(&(course, action.number())).copied().unwrap_or(0)
    }

    /// Statements summed up by a text that course and action give.
    pub(super) fn statements_by(
        &self,
        key: impl Fn(usize, Action) -> Option<String>,
    ) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for course in 0..COURSES.len() {
            for action in Action::all() {
                if let (count @ 1.., Some(key)) =
                    (self.statements(course, action), key(course, action))
                {
                    *sums.entry(key).or_default() += count;
                }
            }
        }
        sums
    }

    fn activities(&self) -> BTreeMap<String, Activity> {
        let mut activities = BTreeMap::new();
        for course in 0..COURSES.len() {
            for action in Action::all().filter(|action| action.is_about_activity()) {
                let Object { id, name, .. } = shapes::object(course, action);
                let kind = vocabulary::kind(action);
                if let count @ 1.. = self.statements(course, action) {
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
        for &(day, learner) in &self.active {
            learners.entry(key(date(day))).or_default().insert(learner);
        }
        learners
    }

    fn returning_learners(&self) -> u64 {
        let mut days: BTreeMap<LearnerNumber, u64> = BTreeMap::new();
        for &(_, learner) in &self.active {
            *days.entry(learner).or_default() += 1;
        }
        days.values().filter(|&&days| days > 1).count() as u64
    }

    fn completion_by_cohort(&self) -> BTreeMap<String, Completion> {
        let mut cohorts: BTreeMap<String, Completion> = BTreeMap::new();
        for (video, learner) in &self.started {
            let completion =
                cohorts.entry(COHORTS[self.cohorts[learner]].name.to_owned()).or_default();
            completion.started += 1;
            completion.completed += u64::from(self.completed.contains(&(*video, *learner)));
        }
        cohorts
    }

    fn quizzes_by_course(&self) -> BTreeMap<String, Quizzes> {
        let quizzes = |&(attempts, passed, sum): &(u64, u64, u64)| {
            // A half point is a twentieth of the scaled score: 500 ten-thousandths.
            let mean = (sum * 1000 / attempts).div_ceil(2);
            Quizzes { attempts, mean_scaled_score: mean as f64 / 10_000.0, passed }
        };
        self.quizzes
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
                let (started, completed) = (learners(&self.started), learners(&self.completed));
                let answers = Video {
                    abandoned: started.difference(&completed).count() as u64,
                    completed: completed.len() as u64,
                    course: course.id,
                    length: course.units[unit].video.length,
                    name: course.units[unit].title,
                    pauses_per_minute: self.pauses.get(&video).cloned().unwrap_or_default(),
                    seeks_per_minute: self.seeks.get(&video).cloned().unwrap_or_default(),
                    started: started.len() as u64,
                };
                videos.insert(
                    shapes::object(index, Action::Video(unit, VideoVerb::Played)).id,
                    answers,
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

pub(super) fn date(day: i64) -> Date {
    moment(START + day * DAY).to_zoned(TimeZone::UTC).date()
}

/// `2026-W09`
fn week(date: Date) -> String {
    let week = date.iso_week_date();
    format!("{}-W{:02}", week.year(), week.week())
}

pub(super) fn timestamp(time: i64) -> String {
    format!("{:.3}", moment(time))
}

pub(super) fn moment(time: i64) -> Timestamp {
    Timestamp::from_millisecond(time).expect("the term is within jiff's range")
}
