//! The events of a term, from which statements are rendered.

use std::ops::Range;

use super::catalogue::{Activity, DISCUSSIONS, UNITS};
use super::term::Time;

/// An event, which becomes one statement.
#[derive(Debug, Clone)]
pub struct Event {
    pub time: Time,
    /// The number of the group of learners, from 0.
    pub group: u32,
    /// The index of the learner in the group.
    pub learner: u16,
    /// The number of the session in the term of the group.
    pub session: u32,
    pub course: u8,
    pub action: Action,
    pub details: Details,
}

/// The action, with the unit or the discussion of the course.
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

/// Additional values of a statement.
#[derive(Debug, Clone)]
pub enum Details {
    None,
    /// The number of a new discussion, reply or attempt.
    Number(u32),
    /// A finished attempt: half points out of 20, and the duration in seconds.
    Score {
        attempt: u32,
        half_points: u32,
        seconds: u32,
    },
    View(View),
}

/// The state of a video player. Positions are in milliseconds of the video.
#[derive(Debug, Clone)]
pub struct View {
    /// The number of the player session in the term of the group.
    pub number: u32,
    pub position: u32,
    /// The target position of a seek.
    pub target: u32,
    /// The watched share of the video, in thousandths.
    pub progress: u32,
    /// The watched segments, as indices into the planner's segments.
    pub segments: Range<u32>,
    /// The playing time in seconds.
    pub played_for: u32,
}

impl Action {
    /// The upper bound of [`Action::number`].
    pub const COUNT: usize = 100;

    /// A number below [`Action::COUNT`] that is unique in a course.
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

    /// Whether the action belongs to a course. Login and logout belong to none.
    pub fn is_in_course(self) -> bool {
        !matches!(self, Self::LoggedIn | Self::LoggedOut)
    }

    /// Whether its object is an activity that learners use. A course, a discussion, an attempt, a submission and Moodle's
    /// page for a video are not.
    pub fn is_about_activity(self) -> bool {
        match self {
            Self::Viewed(activity) => !matches!(activity, Activity::Video(_)),
            Self::Video(..) => true,
            _ => false,
        }
    }

    /// All actions of a course.
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
    fn number_of_action_is_unique() {
        let numbers: BTreeSet<usize> = Action::all().map(Action::number).collect();
        assert_eq!(numbers.len(), Action::all().count());
        assert!(numbers.iter().all(|&number| number < Action::COUNT));
    }
}
