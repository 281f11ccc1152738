//! The generated learners: their properties, their habits and their progress.

use super::catalogue::{COURSES, UNITS};
use super::names::{FAMILY, GIVEN};
use super::random::Random;
use super::term::{DAYS, Habit, MINUTE, Time, is_weekend};

/// The number of learners in a group. Each group takes one term.
pub const LEARNERS: usize = 300;

/// The minimum time between two sessions of a learner.
const BREAK: Time = 15 * MINUTE;

/// Learners with similar habits.
#[derive(Debug, Clone, Copy)]
pub struct Cohort {
    pub name: &'static str,
    /// Share of all learners, in percent.
    share: u32,
    /// Probability of dropping out during the term, in percent.
    drop_out: u32,
    /// Probability of continuing a video at a pause, in percent.
    persistence: u32,
    /// The weights from [`Habit::Morning`] to [`Habit::Night`].
    habits: [u32; 4],
}

/// The cohorts. No generated learner belongs to [`PLANTED`].
pub const COHORTS: [Cohort; 5] = [
    Cohort { name: "full-time", share: 45, drop_out: 10, persistence: 80, habits: [20, 50, 25, 5] },
    Cohort { name: "part-time", share: 25, drop_out: 18, persistence: 74, habits: [15, 5, 65, 15] },
    Cohort { name: "distance", share: 20, drop_out: 38, persistence: 60, habits: [15, 25, 35, 25] },
    Cohort { name: "exchange", share: 10, drop_out: 6, persistence: 86, habits: [30, 45, 20, 5] },
    Cohort { name: "planted", share: 0, drop_out: 0, persistence: 86, habits: [30, 45, 20, 5] },
];

/// The index of the cohort of planted cases.
pub const PLANTED: usize = 4;

/// The device on which a learner watches videos.
#[derive(Debug, Clone, Copy)]
pub struct Device {
    pub screen: &'static str,
    pub playback: &'static str,
    pub agent: &'static str,
}

pub const DEVICES: [Device; 4] = [
    Device {
        screen: "1920x1080",
        playback: "1280x720",
        agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
    },
    Device {
        screen: "1440x900",
        playback: "960x540",
        agent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0",
    },
    Device {
        screen: "2560x1440",
        playback: "1920x1080",
        agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    },
    Device {
        screen: "412x915",
        playback: "412x232",
        agent: "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0",
    },
];

/// The number of a user in Moodle, which is the name of the account.
pub type LearnerNumber = u32;

/// How statements identify a learner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    Account(LearnerNumber),
    /// An address such as `mailto:learner@example.org`.
    Mail(&'static str),
}

/// The properties of a learner in statements.
#[derive(Debug)]
pub struct Profile {
    pub identity: Identity,
    pub name: String,
    pub cohort: usize,
    pub device: usize,
    /// Playback speed in quarters: 4 is normal speed.
    pub speed: u32,
}

impl Profile {
    /// The number of the account. None for a learner who is identified by mail.
    pub fn account(&self) -> Option<LearnerNumber> {
        match self.identity {
            Identity::Account(number) => Some(number),
            Identity::Mail(_) => None,
        }
    }
}

pub struct Learner {
    pub profile: Profile,
    pub habit: Habit,
    pub persistence: u32,
    /// Expected result in quizzes, in percent.
    pub skill: u32,
    pub studies: Vec<Study>,
    diligence: u32,
    weekends: bool,
    first_day: usize,
    last_day: usize,
    last_active: Option<usize>,
    /// The earliest time of the next session.
    free_from: Time,
}

/// The progress of a learner in one course.
#[derive(Debug, Clone, Default)]
pub struct Study {
    pub course: usize,
    /// The current unit; [`UNITS`] when all are complete.
    pub unit: usize,
    /// The position at which the learner left the unit's video, in milliseconds.
    pub resume_at: u32,
    pub page_read: bool,
    pub attempts: [u8; UNITS],
    pub submitted: [bool; UNITS],
}

impl Learner {
    pub fn new(random: &mut Random, number: LearnerNumber) -> Self {
        let cohort = random.weighted(&COHORTS.map(|cohort| cohort.share));
        let Cohort { drop_out, persistence, habits, .. } = COHORTS[cohort];
        let first_day = random.weighted(&[60, 20, 8, 4, 3, 2, 1, 2]);
        let last_day =
            if random.percent(drop_out) { random.between(12, 75) as usize } else { DAYS };
        let first_course = random.weighted(&[20, 16, 11, 18, 10, 7, 10, 8]);
        let mut studies = vec![Study { course: first_course, ..Study::default() }];
        if random.percent(35) {
            let other = (first_course + random.between(1, COURSES.len() as u32 - 1) as usize)
                % COURSES.len();
            studies.push(Study { course: other, ..Study::default() });
        }
        let name = format!("{} {}", random.pick(&GIVEN), random.pick(&FAMILY));
        let device = random.weighted(&[45, 20, 10, 25]);
        let habit = Habit::ALL[random.weighted(&habits)];
        let speed = [4, 5, 6, 8][random.weighted(&[62, 18, 15, 5])];
        Self {
            profile: Profile { identity: Identity::Account(number), name, cohort, device, speed },
            habit,
            persistence: random.around(persistence - 12, persistence + 8),
            skill: random.around(35, 98),
            studies,
            // few learners are very active
            diligence: [4, 6, 10, 16, 26][random.weighted(&[18, 32, 28, 16, 6])],
            weekends: random.percent(40),
            first_day,
            last_day,
            last_active: None,
            free_from: 0,
        }
    }

    /// The relative probability of a session on a day. A learner has at most one session per day.
    pub fn inclination(&self, day: usize) -> u32 {
        let enrolled = (self.first_day..self.last_day).contains(&day);
        if !enrolled || self.last_active == Some(day) {
            return 0;
        }
        self.diligence * if is_weekend(day) && !self.weekends { 1 } else { 4 }
    }

    /// Begins a session at a time of a day, but not before the end of the previous session. Returns the start.
    pub fn begin_session(&mut self, day: usize, time: Time) -> Time {
        self.last_active = Some(day);
        time.max(self.free_from)
    }

    /// Ends a session.
    pub fn end_session(&mut self, time: Time) {
        self.free_from = time + BREAK;
    }
}
