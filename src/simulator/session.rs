//! One session of one learner, from login to the last action.

use super::catalogue::{Activity, COURSES, DISCUSSIONS, UNITS, Unit};
use super::event::{Action, Details, Event};
use super::learner::{Learner, Study};
use super::random::Random;
use super::term::{DAYS, SECOND, Time};

/// The state that all sessions of a group share.
#[derive(Debug, Default)]
pub struct Log {
    pub events: Vec<Event>,
    /// Watched segments of videos: start and end in milliseconds.
    pub segments: Vec<(u32, u32)>,
    sessions: u32,
    views: u32,
    /// The number of discussions, replies and attempts, which share one sequence.
    numbers: u32,
}

impl Log {
    /// Clears the state for another group.
    pub fn clear(&mut self) {
        self.events.clear();
        self.segments.clear();
        (self.sessions, self.views, self.numbers) = (0, 0, 0);
    }

    pub fn next_view(&mut self) -> u32 {
        self.views += 1;
        self.views
    }

    fn next_number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }
}

pub struct Session<'a> {
    pub random: &'a mut Random,
    pub log: &'a mut Log,
    pub learner: &'a mut Learner,
    pub time: Time,
    group: u32,
    learner_index: u16,
    number: u32,
    day: usize,
    /// The index of the course of this session in the learner's studies.
    study: usize,
}

impl<'a> Session<'a> {
    pub fn new(
        random: &'a mut Random,
        log: &'a mut Log,
        learner: &'a mut Learner,
        (group, learner_index): (u32, u16),
        (day, time): (usize, Time),
    ) -> Self {
        log.sessions += 1;
        let number = log.sessions;
        let study = usize::from(learner.studies.len() > 1 && random.percent(35));
        Self { random, log, learner, time, group, learner_index, number, day, study }
    }

    pub fn run(mut self) {
        self.moodle(Action::LoggedIn, Details::None);
        self.wait(2, 20);
        self.moodle(Action::CourseViewed, Details::None);
        let activities = 1 + self.random.weighted(&[24, 36, 25, 15]);
        for count in 0..activities {
            if count > 0 && self.random.percent(45) {
                self.wait(3, 30);
                self.moodle(Action::CourseViewed, Details::None);
            }
            self.wait(3, 40);
            let activity = self.choose();
            self.do_activity(activity);
        }
        if self.random.percent(30) {
            self.wait(5, 90);
            self.moodle(Action::LoggedOut, Details::None);
        }
        self.learner.end_session(self.time);
    }

    pub fn study(&mut self) -> &mut Study {
        &mut self.learner.studies[self.study]
    }

    pub fn unit(&mut self, unit: usize) -> &'static Unit {
        &COURSES[self.study().course].units[unit]
    }

    pub fn push(&mut self, action: Action, details: Details) {
        let course = self.study().course as u8;
        self.log.events.push(Event {
            time: self.time,
            group: self.group,
            learner: self.learner_index,
            session: self.number,
            course,
            action,
            details,
        });
    }

    /// Advances the time by a random number of seconds.
    pub fn wait(&mut self, low: u32, high: u32) {
        self.time += Time::from(self.random.between(low, high)) * SECOND;
    }

    /// Adds an event of Moodle, whose log has whole seconds.
    fn moodle(&mut self, action: Action, details: Details) {
        self.time -= self.time % SECOND;
        self.push(action, details);
    }

    /// Chooses the next activity: mostly of the current unit, sometimes of earlier units.
    fn choose(&mut self) -> Activity {
        let opened = (self.day * UNITS / DAYS + 1).min(UNITS);
        let first_weeks = self.day < 14;
        let study = &self.learner.studies[self.study];
        let all_done = study.unit >= opened;
        let unit = study.unit.min(opened - 1);
        let weight = |activity: Activity| match activity {
            Activity::Page(of) if of == unit && !study.page_read && !all_done => 40,
            Activity::Page(of) if of <= unit => {
                if all_done {
                    5
                } else {
                    2
                }
            }
            Activity::Video(of) if of == unit && !all_done => 55,
            Activity::Video(of) if of <= unit => {
                if all_done {
                    7
                } else {
                    2
                }
            }
            Activity::Quiz(of) if of <= unit => {
                [24, 9, 3, 0][usize::from(study.attempts[of].min(3))]
            }
            Activity::Assignment(of) if of <= unit => {
                if study.submitted[of] {
                    1
                } else {
                    20
                }
            }
            Activity::Page(_)
            | Activity::Video(_)
            | Activity::Quiz(_)
            | Activity::Assignment(_) => 0,
            Activity::Forum => 12,
            Activity::Syllabus => {
                if first_weeks {
                    12
                } else {
                    3
                }
            }
            Activity::ReadingList => 2,
        };
        let mut weights = [0; Activity::ALL.len()];
        for (slot, activity) in weights.iter_mut().zip(Activity::ALL) {
            *slot = weight(activity);
        }
        Activity::ALL[self.random.weighted(&weights)]
    }

    fn do_activity(&mut self, activity: Activity) {
        self.moodle(Action::Viewed(activity), Details::None);
        match activity {
            Activity::Page(unit) => {
                if unit == self.study().unit {
                    self.study().page_read = true;
                }
                self.wait(40, 700);
            }
            Activity::Video(unit) => self.watch(unit),
            Activity::Quiz(unit) => self.take_quiz(unit),
            Activity::Assignment(unit) => self.hand_in(unit),
            Activity::Forum => self.visit_forum(),
            Activity::Syllabus | Activity::ReadingList => self.wait(15, 240),
        }
    }

    fn take_quiz(&mut self, unit: usize) {
        let attempts = self.study().attempts[unit];
        if attempts >= 3 || self.random.percent(15) {
            return;
        }
        let attempt = self.log.next_number();
        self.wait(4, 60);
        self.moodle(Action::AttemptStarted(unit), Details::Number(attempt));
        if self.random.percent(6) {
            return;
        }
        let begun = self.time;
        self.wait(180, 1500);
        let seconds = ((self.time - begun) / SECOND) as u32;
        // later attempts are better
        let expected = (self.learner.skill + 9 * u32::from(attempts)).min(96) / 5;
        let half_points = self.random.around(expected.saturating_sub(5), (expected + 4).min(20));
        self.moodle(
            Action::AttemptCompleted(unit),
            Details::Score { attempt, half_points, seconds },
        );
        self.study().attempts[unit] += 1;
        if self.random.percent(75) {
            self.wait(2, 15);
            self.moodle(Action::AttemptReviewed(unit), Details::Number(attempt));
            self.wait(20, 300);
        }
    }

    fn hand_in(&mut self, unit: usize) {
        self.wait(20, 240);
        let ready = self.random.percent(self.learner.skill / 2 + 15);
        if ready && !self.study().submitted[unit] {
            self.wait(120, 2400);
            self.moodle(Action::Submitted(unit), Details::None);
            self.study().submitted[unit] = true;
        }
    }

    fn visit_forum(&mut self) {
        for _ in 0..self.random.weighted(&[20, 40, 28, 12]) {
            let discussion = self.random.weighted(&[20, 50, 30]).min(DISCUSSIONS.len() - 1);
            self.wait(4, 90);
            self.moodle(Action::DiscussionViewed(discussion), Details::None);
            if self.random.percent(22) {
                self.wait(60, 600);
                let number = self.log.next_number();
                self.moodle(Action::Replied(discussion), Details::Number(number));
            }
        }
        if self.random.percent(6) {
            self.wait(90, 600);
            let number = self.log.next_number();
            self.moodle(Action::DiscussionCreated, Details::Number(number));
        }
    }
}
