//! The IRIs in generated statements, which dashboards and the index mapping depend on.

/// This project's extensions of `context`. Each has a scalar value, so that a chart can group by it.
pub mod context {
    /// Text: the short name of the course, such as `BIO-110`. In all statements except login and logout.
    pub const COURSE_ID: &str = "https://lastack.example.org/course-id";
    /// Text: the full name of the course. In all statements except login and logout.
    pub const COURSE_NAME: &str = "https://lastack.example.org/course-name";
    /// Text: the cohort of the learner, such as `distance`. In all statements.
    pub const COHORT: &str = "https://lastack.example.org/cohort";
    /// Text: `site`, `course`, `page`, `file`, `link`, `forum`, `assignment`, `quiz` or `video`: the kind
    /// of Moodle activity that the object belongs to. A discussion belongs to `forum`. In all statements.
    pub const ACTIVITY_KIND: &str = "https://lastack.example.org/activity-kind";
    /// Number, in seconds: the position in the video; for a seek, its start. In all video statements except `initialized`.
    pub const VIDEO_POSITION: &str = "https://lastack.example.org/video-position";
    /// Whole number, from 0: the minute of the video position. In the same statements.
    pub const VIDEO_MINUTE: &str = "https://lastack.example.org/video-minute";
}

/// The xAPI video profile: <https://w3id.org/xapi/video>.
pub mod video {
    pub const ACTIVITY_TYPE: &str = "https://w3id.org/xapi/video/activity-type/video";
    pub const PLAYED: &str = "https://w3id.org/xapi/video/verbs/played";
    pub const PAUSED: &str = "https://w3id.org/xapi/video/verbs/paused";
    pub const SEEKED: &str = "https://w3id.org/xapi/video/verbs/seeked";
    pub const INITIALIZED: &str = "http://adlnet.gov/expapi/verbs/initialized";
    pub const COMPLETED: &str = "http://adlnet.gov/expapi/verbs/completed";
    pub const TERMINATED: &str = "http://adlnet.gov/expapi/verbs/terminated";
}

/// The IRIs that the Moodle plugin logstore_xapi 5 sends.
pub mod moodle {
    pub const LOGIN: &str = "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/login";
    pub const LOGOUT: &str = "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/logout";
    pub const VIEWED: &str = "http://id.tincanapi.com/verb/viewed";
    pub const CREATED: &str = "http://activitystrea.ms/create";
    pub const REPLIED: &str = "http://id.tincanapi.com/verb/replied";
    pub const STARTED: &str = "http://activitystrea.ms/schema/1.0/start";
    pub const SUBMITTED: &str = "http://activitystrea.ms/schema/1.0/submit";
    pub const COMPLETED: &str = "http://adlnet.gov/expapi/verbs/completed";

    pub const SITE: &str = "http://id.tincanapi.com/activitytype/lms";
    pub const COURSE: &str = "https://w3id.org/xapi/cmi5/activitytype/course";
    pub const SECTION: &str = "http://id.tincanapi.com/activitytype/section";
    pub const PAGE: &str = "https://w3id.org/xapi/acrossx/activities/page";
    pub const FILE: &str = "http://id.tincanapi.com/activitytype/resource";
    pub const LINK: &str = "http://adlnet.gov/expapi/activities/link";
    pub const FORUM: &str = "https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/forum";
    pub const DISCUSSION: &str = "http://id.tincanapi.com/activitytype/discussion";
    pub const REPLY: &str = "http://id.tincanapi.com/activitytype/forum-reply";
    pub const ASSIGNMENT: &str =
        "https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/assignment";
    pub const SUBMISSION: &str =
        "https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/submission";
    pub const QUIZ: &str = "http://adlnet.gov/expapi/activities/assessment";
    pub const ATTEMPT: &str = "http://adlnet.gov/expapi/activities/attempt";
    /// The type of an external tool, such as the video player.
    pub const MEDIA: &str = "http://adlnet.gov/expapi/activities/media";
}

#[cfg(test)]
mod tests {
    use super::context;

    /// With another IRI, the column would stay empty without an error.
    #[test]
    fn mapping_has_column_for_each_extension_of_this_project() {
        const INDEX: &str = include_str!("../../manifests/statements.json");
        let extensions = [
            context::COURSE_ID,
            context::COURSE_NAME,
            context::COHORT,
            context::ACTIVITY_KIND,
            context::VIDEO_POSITION,
            context::VIDEO_MINUTE,
        ];
        for iri in extensions {
            assert!(INDEX.contains(&format!(r#""context.extensions.{iri}": {{"#)), "{iri}");
        }
        assert_eq!(
            INDEX.matches(r#""context.extensions.https://lastack.example.org/"#).count(),
            2 * extensions.len(),
            "each with its alias"
        );
    }
}
