//! Counts generated events. Memory grows with the number of learners, not of statements.

use std::collections::{BTreeMap, BTreeSet};

use crate::simulator::catalogue::COURSES;
use crate::simulator::event::{Action, Details, Event, VideoVerb};
use crate::simulator::learner::{LearnerNumber, Profile};
use crate::simulator::shapes;
use crate::simulator::term::{DAY, HOUR, START};

/// The index of a course, and of a unit in it.
pub(super) type VideoIndex = (usize, usize);

#[derive(Default)]
pub(super) struct Counts {
    pub count: u64,
    pub actions: BTreeMap<(usize, usize), u64>,
    pub days: BTreeMap<i64, u64>,
    pub hours: [[u64; 24]; 7],
    pub active: BTreeSet<(i64, LearnerNumber)>,
    pub started: BTreeSet<(VideoIndex, LearnerNumber)>,
    pub completed: BTreeSet<(VideoIndex, LearnerNumber)>,
    pub cohorts: BTreeMap<LearnerNumber, usize>,
    pub pauses: BTreeMap<VideoIndex, BTreeMap<u32, u64>>,
    pub seeks: BTreeMap<VideoIndex, BTreeMap<u32, u64>>,
    /// By course: attempts, successes, and the sum of the half points.
    pub quizzes: BTreeMap<usize, (u64, u64, u64)>,
    pub span: Option<(i64, i64)>,
}

impl Counts {
    pub fn observe(&mut self, event: &Event, learner: &Profile) {
        let course = usize::from(event.course);
        let day = (event.time - START) / DAY;
        self.count += 1;
        *self.actions.entry((course, event.action.number())).or_default() += 1;
        *self.days.entry(day).or_default() += 1;
        // the term begins on a Monday
        self.hours[(day % 7) as usize][((event.time - START) / HOUR % 24) as usize] += 1;
        // charts count learners by account
        let account = learner.account();
        self.active.extend(account.map(|number| (day, number)));
        self.cohorts.extend(account.map(|number| (number, learner.cohort)));
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
                    VideoVerb::Played => self.started.extend(account.map(|number| (video, number))),
                    VideoVerb::Completed => {
                        self.completed.extend(account.map(|number| (video, number)))
                    }
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

    pub fn statements(&self, course: usize, action: Action) -> u64 {
        self.actions.get(&(course, action.number())).copied().unwrap_or(0)
    }

    /// The numbers of statements, grouped by a key of course and action.
    pub fn statements_by(
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
}
