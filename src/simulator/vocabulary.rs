//! The vocabulary of each action: its verb, its kind of activity, and its Moodle event.

use super::catalogue::Activity;
use super::event::{Action, VideoVerb};
use crate::xapi::iri::{moodle, video};

/// The kind of activity, by which charts group.
pub fn kind(action: Action) -> &'static str {
    match action {
        Action::LoggedIn | Action::LoggedOut => "site",
        Action::CourseViewed => "course",
        Action::DiscussionViewed(_) | Action::DiscussionCreated | Action::Replied(_) => "forum",
        Action::AttemptStarted(_) | Action::AttemptCompleted(_) | Action::AttemptReviewed(_) => {
            "quiz"
        }
        Action::Submitted(_) => "assignment",
        Action::Video(..) => "video",
        Action::Viewed(activity) => match activity {
            Activity::Page(_) => "page",
            Activity::Video(_) => "video",
            Activity::Quiz(_) => "quiz",
            Activity::Assignment(_) => "assignment",
            Activity::Forum => "forum",
            Activity::Syllabus => "file",
            Activity::ReadingList => "link",
        },
    }
}

/// The id and the name of the verb.
pub fn verb(action: Action) -> (&'static str, &'static str) {
    match action {
        Action::LoggedIn => (moodle::LOGIN, "Logged In"),
        Action::LoggedOut => (moodle::LOGOUT, "Logged Out"),
        Action::CourseViewed
        | Action::Viewed(_)
        | Action::DiscussionViewed(_)
        | Action::AttemptReviewed(_) => (moodle::VIEWED, "Viewed"),
        Action::DiscussionCreated => (moodle::CREATED, "Created"),
        Action::Replied(_) => (moodle::REPLIED, "Replied"),
        Action::AttemptStarted(_) => (moodle::STARTED, "Started"),
        Action::AttemptCompleted(_) => (moodle::COMPLETED, "Completed"),
        Action::Submitted(_) => (moodle::SUBMITTED, "Submitted"),
        Action::Video(_, verb) => match verb {
            VideoVerb::Initialized => (video::INITIALIZED, "initialized"),
            VideoVerb::Played => (video::PLAYED, "played"),
            VideoVerb::Paused => (video::PAUSED, "paused"),
            VideoVerb::Seeked => (video::SEEKED, "seeked"),
            VideoVerb::Completed => (video::COMPLETED, "completed"),
            VideoVerb::Terminated => (video::TERMINATED, "terminated"),
        },
    }
}

/// The Moodle event of a statement, and the function of the plugin that converts it.
pub fn event(action: Action) -> (&'static str, &'static str) {
    match action {
        Action::LoggedIn => {
            (r"\core\event\user_loggedin", r"\src\transformer\events\core\user_loggedin")
        }
        Action::LoggedOut => {
            (r"\core\event\user_loggedout", r"\src\transformer\events\core\user_loggedout")
        }
        Action::CourseViewed => {
            (r"\core\event\course_viewed", r"\src\transformer\events\core\course_viewed")
        }
        Action::Viewed(activity) => {
            let event = match activity {
                Activity::Page(_) => r"\mod_page\event\course_module_viewed",
                Activity::Video(_) => r"\mod_lti\event\course_module_viewed",
                Activity::Quiz(_) => r"\mod_quiz\event\course_module_viewed",
                Activity::Assignment(_) => r"\mod_assign\event\course_module_viewed",
                Activity::Forum => r"\mod_forum\event\course_module_viewed",
                Activity::Syllabus => r"\mod_resource\event\course_module_viewed",
                Activity::ReadingList => r"\mod_url\event\course_module_viewed",
            };
            (event, r"\src\transformer\events\all\course_module_viewed")
        }
        Action::DiscussionViewed(_) => (
            r"\mod_forum\event\discussion_viewed",
            r"\src\transformer\events\mod_forum\discussion_viewed",
        ),
        Action::DiscussionCreated => (
            r"\mod_forum\event\discussion_created",
            r"\src\transformer\events\mod_forum\discussion_created",
        ),
        Action::Replied(_) => {
            (r"\mod_forum\event\post_created", r"\src\transformer\events\mod_forum\post_created")
        }
        Action::AttemptStarted(_) => (
            r"\mod_quiz\event\attempt_started",
            r"\src\transformer\events\mod_quiz\attempt_started",
        ),
        Action::AttemptCompleted(_) => (
            r"\mod_quiz\event\attempt_submitted",
            r"\src\transformer\events\mod_quiz\attempt_submitted\handler",
        ),
        Action::AttemptReviewed(_) => (
            r"\mod_quiz\event\attempt_reviewed",
            r"\src\transformer\events\mod_quiz\attempt_reviewed",
        ),
        Action::Submitted(_) => (
            r"\mod_assign\event\assessable_submitted",
            r"\src\transformer\events\mod_assign\assignment_submitted",
        ),
        Action::Video(..) => unreachable!("the video player sends its own statements"),
    }
}
