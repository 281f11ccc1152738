//! What happens in the term, before it is written as statements.

use std::ops::Range;

use super::catalogue::{Activity, DISCUSSIONS, UNITS};
use super::term::Time;

/// One statement to be.
#[derive(Debug, Clone)]
pub struct Event {
    pub time: Time,
    /// Number of the group of learners, from 0.
    pub group: u32,
    /// Index of the learner in the group.
    pub learner: u16,
    /// Number of the session in the group's term.
    pub session: u32,
    pub course: u8,
    pub action: Action,
    pub details: Details,
}

/// What was done, and in which unit or discussion of the course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    LoggedIn,
    LoggedOut,
    CourseViewed,
    Viewed(Activity),
    DiscussionViewed(usize),
    DiscussionCreated,
    Replied(usize),
    AttemptStarted(usize),
    AttemptCompleted(usize),
    AttemptReviewed(usize),
    Submitted(usize),
    Video(usize, VideoVerb),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoVerb {
    Initialized,
    Played,
    Paused,
    Seeked,
    Completed,
    Terminated,
}

/// What the statement says besides.
#[derive(Debug, Clone)]
pub enum Details {
    None,
    /// The number of a new discussion, reply or attempt.
    Number(u32),
    /// A finished attempt: half points of 20, and how long it took.
    Score {
        attempt: u32,
        half_points: u32,
        seconds: u32,
    },
    View(View),
}

/// A moment of a video being watched. Positions are milliseconds of the video.
#[derive(Debug, Clone)]
pub struct View {
    /// Number of the player's session in the group's term.
    pub number: u32,
    pub position: u32,
    /// Where a seek leads.
    pub target: u32,
    /// Thousandths of the video seen so far.
    pub progress: u32,
    /// Which of the planner's segments were seen so far.
    pub segments: Range<u32>,
    /// How long it has been playing, in seconds.
    pub played_for: u32,
}

impl Action {
    /// Numbers the actions of a course from 0, with gaps.
    pub const COUNT: usize = 100;

    pub fn number(self) -> usize {
        const DISCUSSION: usize = 30;
        const QUIZ: usize = DISCUSSION + 2 * DISCUSSIONS.len() + 1;
        const VIDEO: usize = QUIZ + 4 * UNITS;
        match self {
            Self::LoggedIn => 0,
            Self::LoggedOut => 1,
            Self::CourseViewed => 2,
            Self::Viewed(activity) => 3 + activity.number(),
            Self::DiscussionCreated => DISCUSSION,
            Self::DiscussionViewed(discussion) => DISCUSSION + 1 + discussion,
            Self::Replied(discussion) => DISCUSSION + 1 + DISCUSSIONS.len() + discussion,
            Self::AttemptStarted(unit) => QUIZ + unit,
            Self::AttemptCompleted(unit) => QUIZ + UNITS + unit,
            Self::AttemptReviewed(unit) => QUIZ + 2 * UNITS + unit,
            Self::Submitted(unit) => QUIZ + 3 * UNITS + unit,
            Self::Video(unit, verb) => VIDEO + 6 * unit + verb as usize,
        }
    }

    /// Logging in and out is not done in any course.
    pub fn is_in_course(self) -> bool {
        !matches!(self, Self::LoggedIn | Self::LoggedOut)
    }

    /// Whether its object is an activity that learners use: not the course, a discussion, an attempt or a submission,
    /// and not the page of Moodle that a video is shown in.
    pub fn is_about_activity(self) -> bool {
        match self {
            Self::Viewed(activity) => !matches!(activity, Activity::Video(_)),
            Self::Video(..) => true,
            _ => false,
        }
    }

    /// Everything that can be done in a course.
    pub fn all() -> impl Iterator<Item = Self> {
        let discussions = 0..DISCUSSIONS.len();
        let activities = Activity::ALL.into_iter().flat_map(|activity| {
            let more = match activity {
                Activity::Video(unit) => {
                    VideoVerb::ALL.map(|verb| Self::Video(unit, verb)).to_vec()
                }
                Activity::Quiz(unit) => {
                    vec![
                        Self::AttemptStarted(unit),
                        Self::AttemptCompleted(unit),
                        Self::AttemptReviewed(unit),
                    ]
                }
                Activity::Assignment(unit) => vec![Self::Submitted(unit)],
                _ => vec![],
            };
            [Self::Viewed(activity)].into_iter().chain(more)
        });
        [Self::LoggedIn, Self::LoggedOut, Self::CourseViewed, Self::DiscussionCreated]
            .into_iter()
            .chain(activities)
            .chain(discussions.clone().map(Self::DiscussionViewed))
            .chain(discussions.map(Self::Replied))
    }
}

impl VideoVerb {
    pub const ALL: [Self; 6] = [
        Self::Initialized,
        Self::Played,
        Self::Paused,
        Self::Seeked,
        Self::Completed,
        Self::Terminated,
    ];
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_action_has_a_number_of_its_own() {
        let numbers: BTreeSet<usize> = Action::all().map(Action::number).collect();
        assert_eq!(numbers.len(), Action::all().count());
        assert!(numbers.iter().all(|&number| number < Action::COUNT));
    }
}
