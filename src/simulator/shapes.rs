//! The templates of statements: one for each action of each course.

use super::catalogue::{Activity, COURSES, Course, DISCUSSIONS};
use super::event::{Action, VideoVerb};
use super::template::{Template, compact, insert};
use super::vocabulary;
use super::vocabulary::{event, kind, verb};
use crate::xapi::iri::{context, moodle, video};

/// The half points, out of 20, that pass a quiz.
pub const PASSED: u32 = 10;
/// The address of the fictional Moodle, which is the home page of all generated learners.
pub const SITE: &str = "https://moodle.example.org";
const VIDEOS: &str = "https://video.example.org/videos";
/// The category of statements that follow the xAPI video profile.
const PROFILE: &str = r#"{"id":"https://w3id.org/xapi/video"}"#;
/// The share of a video that completes it; see `viewing.rs`.
const THRESHOLD: &str = r#""https://w3id.org/xapi/video/extensions/completion-threshold":0.9,"#;
const MOODLE: &str = include_str!("templates/moodle.txt");
const VIDEO: &str = include_str!("templates/video.txt");

/// The templates of all courses, indexed by [`Action::number`].
pub struct Shapes(Vec<Template>);

impl Shapes {
    pub fn new() -> Self {
        let mut templates = Vec::new();
        templates.resize_with(COURSES.len() * Action::COUNT, Template::default);
        let (moodle, video) = (compact(MOODLE), compact(VIDEO));
        for (index, course) in COURSES.iter().enumerate() {
            let context = CourseContext { index, course };
            for action in Action::all() {
                let text = match action {
                    Action::Video(unit, verb) => context.video(&video, unit, verb),
                    _ => context.moodle(&moodle, action),
                };
                templates[index * Action::COUNT + action.number()] = Template::new(&text);
            }
        }
        Self(templates)
    }

    pub fn get(&self, course: u8, action: Action) -> &Template {
        &self.0[usize::from(course) * Action::COUNT + action.number()]
    }
}

/// An xAPI activity: its id, type and name.
pub struct Object {
    pub id: String,
    pub kind: &'static str,
    pub name: String,
}

impl Object {
    fn json(&self) -> String {
        let Self { id, kind, name } = self;
        let name = quoted(name);
        format!(
            r#"{{"objectType":"Activity","id":"{id}","definition":{{"type":"{kind}","name":{{"en":{name}}}}}}}"#
        )
    }
}

/// The platform in a statement.
pub fn platform(action: Action) -> &'static str {
    match action {
        Action::Video(..) => "Example video player",
        _ => "Moodle",
    }
}

/// The object of a statement.
pub fn object(course: usize, action: Action) -> Object {
    CourseContext { index: course, course: &COURSES[course] }.object(action)
}

struct CourseContext {
    index: usize,
    course: &'static Course,
}

impl CourseContext {
    fn moodle(&self, text: &str, action: Action) -> String {
        let (verb_id, verb_name) = verb(action);
        let (event, function) = event(action);
        let object = self.object(action);
        let in_course = action.is_in_course();
        let result = match action {
            Action::AttemptCompleted(_) => concat!(
                r#""result":{"score":{"raw":$points,"min":0,"max":10,"scaled":$scaled},"#,
                r#""completion":true,"success":$success,"duration":"PT$durationS"},"#
            ),
            _ => "",
        };
        let activities = match (in_course, self.parents(action).as_slice()) {
            (false, _) => String::new(),
            (true, parents) => contexts(parents, &[site().json()]),
        };
        insert(
            text,
            &[
                ("verb_id", verb_id),
                ("verb_name", verb_name),
                ("object", &object.json()),
                ("result", result),
                ("platform", platform(action)),
                ("activities", &activities),
                ("event", &escaped(event)),
                ("function", &escaped(function)),
                ("course", &if in_course { self.course_extensions() } else { String::new() }),
                ("kind", kind(action)),
            ],
        )
    }

    fn video(&self, text: &str, unit: usize, verb: VideoVerb) -> String {
        let action = Action::Video(unit, verb);
        let (verb_id, verb_name) = vocabulary::verb(action);
        let object = self.object(action);
        // with its name, because charts group by the names in `parent`
        let course = [self.object(Action::CourseViewed).json()];
        let position = format!(
            r#""{}":$position,"{}":$minute,"#,
            context::VIDEO_POSITION,
            context::VIDEO_MINUTE
        );
        let moment = match verb {
            VideoVerb::Initialized => format!("$player,{THRESHOLD}"),
            VideoVerb::Completed => format!("{position}{THRESHOLD}"),
            _ => position,
        };
        insert(
            text,
            &[
                ("verb_id", verb_id),
                ("verb_name", verb_name),
                ("object", &object.json()),
                ("result", video_result(verb)),
                ("platform", platform(action)),
                ("activities", &contexts(&course, &[PROFILE.to_owned()])),
                ("length", &self.course.units[unit].video.length.to_string()),
                ("moment", &moment),
                ("course", &self.course_extensions()),
                ("kind", kind(action)),
            ],
        )
    }

    fn course_extensions(&self) -> String {
        let Course { id, name, .. } = self.course;
        format!(r#""{}":"{id}","{}":{},"#, context::COURSE_ID, context::COURSE_NAME, quoted(name))
    }

    /// The number of a course module in Moodle's URLs.
    fn module(&self, activity: Activity) -> usize {
        100 * (self.index + 1) + activity.number()
    }

    fn title(&self, unit: usize) -> &'static str {
        self.course.units[unit].title
    }

    fn activity(&self, activity: Activity) -> Object {
        let (module, kind, name) = match activity {
            Activity::Page(unit) => {
                ("page", moodle::PAGE, format!("Reading: {}", self.title(unit)))
            }
            Activity::Video(unit) => ("lti", moodle::MEDIA, format!("Video: {}", self.title(unit))),
            Activity::Quiz(unit) => ("quiz", moodle::QUIZ, format!("Quiz: {}", self.title(unit))),
            Activity::Assignment(unit) => {
                ("assign", moodle::ASSIGNMENT, format!("Assignment: {}", self.title(unit)))
            }
            Activity::Forum => ("forum", moodle::FORUM, format!("Forum of {}", self.course.id)),
            Activity::Syllabus => {
                ("resource", moodle::FILE, format!("Syllabus of {}", self.course.id))
            }
            Activity::ReadingList => {
                ("url", moodle::LINK, format!("Reading list of {}", self.course.id))
            }
        };
        Object {
            id: format!("{SITE}/mod/{module}/view.php?id={}", self.module(activity)),
            kind,
            name,
        }
    }

    fn section(&self, unit: usize) -> Object {
        Object {
            id: format!("{SITE}/course/section.php?id={}", 10 * (self.index + 1) + unit),
            kind: moodle::SECTION,
            name: format!("{} Section {unit}", self.course.name),
        }
    }

    fn discussion(&self, discussion: usize) -> Object {
        Object {
            id: format!("{SITE}/mod/forum/discuss.php?d={}", 10 * (self.index + 1) + discussion),
            kind: moodle::DISCUSSION,
            name: DISCUSSIONS[discussion].to_owned(),
        }
    }

    fn object(&self, action: Action) -> Object {
        match action {
            Action::LoggedIn | Action::LoggedOut => site(),
            Action::CourseViewed => Object {
                id: format!("{SITE}/course/view.php?id={}", self.index + 2),
                kind: moodle::COURSE,
                name: self.course.name.to_owned(),
            },
            Action::Viewed(activity) => self.activity(activity),
            Action::DiscussionViewed(discussion) => self.discussion(discussion),
            Action::DiscussionCreated => Object {
                id: format!("{SITE}/mod/forum/discuss.php?d=$number"),
                kind: moodle::DISCUSSION,
                name: format!("A question about {}", self.course.name),
            },
            Action::Replied(discussion) => Object {
                id: format!("{}#p$number", self.discussion(discussion).id),
                kind: moodle::REPLY,
                name: format!("Re: {}", DISCUSSIONS[discussion]),
            },
            Action::AttemptStarted(unit)
            | Action::AttemptCompleted(unit)
            | Action::AttemptReviewed(unit) => {
                let quiz = Activity::Quiz(unit);
                Object {
                    id: format!(
                        "{SITE}/mod/quiz/attempt.php?attempt=$number&cmid={}",
                        self.module(quiz)
                    ),
                    kind: moodle::ATTEMPT,
                    name: format!("{} Attempt $number", self.activity(quiz).name),
                }
            }
            Action::Submitted(unit) => {
                let assignment = self.activity(Activity::Assignment(unit));
                Object {
                    id: format!("{}#submission", assignment.id),
                    kind: moodle::SUBMISSION,
                    name: format!("{} Submission", assignment.name),
                }
            }
            Action::Video(unit, _) => Object {
                id: format!("{VIDEOS}/{}-{}", self.course.id.to_lowercase(), unit + 1),
                kind: video::ACTIVITY_TYPE,
                name: self.title(unit).to_owned(),
            },
        }
    }

    /// The parents from the activity to the course, as the plugin logstore_xapi sends them.
    fn parents(&self, action: Action) -> Vec<String> {
        let (activity, itself) = match action {
            Action::Viewed(activity) => (activity, None),
            Action::DiscussionViewed(_) | Action::DiscussionCreated => {
                (Activity::Forum, Some(Activity::Forum))
            }
            Action::Replied(_) => (Activity::Forum, Some(Activity::Forum)),
            Action::AttemptStarted(unit)
            | Action::AttemptCompleted(unit)
            | Action::AttemptReviewed(unit) => (Activity::Quiz(unit), Some(Activity::Quiz(unit))),
            Action::Submitted(unit) => {
                (Activity::Assignment(unit), Some(Activity::Assignment(unit)))
            }
            _ => return Vec::new(),
        };
        let unit = match activity {
            Activity::Page(unit)
            | Activity::Video(unit)
            | Activity::Quiz(unit)
            | Activity::Assignment(unit) => unit + 1,
            Activity::Forum | Activity::Syllabus | Activity::ReadingList => 0,
        };
        let discussion = match action {
            Action::Replied(discussion) => Some(self.discussion(discussion)),
            _ => None,
        };
        discussion
            .into_iter()
            .chain(itself.map(|activity| self.activity(activity)))
            .chain([self.section(unit), self.object(Action::CourseViewed)])
            .map(|object| object.json())
            .collect()
    }
}

fn site() -> Object {
    Object { id: SITE.to_owned(), kind: moodle::SITE, name: "Example University".to_owned() }
}

fn contexts(parents: &[String], categories: &[String]) -> String {
    let lists: Vec<String> = [("parent", parents), ("category", categories)]
        .into_iter()
        .filter(|(_, activities)| !activities.is_empty())
        .map(|(name, activities)| format!(r#""{name}":[{}]"#, activities.join(",")))
        .collect();
    format!(r#""contextActivities":{{{}}},"#, lists.join(","))
}

fn video_result(verb: VideoVerb) -> &'static str {
    match verb {
        VideoVerb::Initialized => "",
        VideoVerb::Played => {
            r#""result":{"extensions":{"https://w3id.org/xapi/video/extensions/time":$position}},"#
        }
        VideoVerb::Seeked => concat!(
            r#""result":{"extensions":{"https://w3id.org/xapi/video/extensions/time-from":$position,"#,
            r#""https://w3id.org/xapi/video/extensions/time-to":$target}},"#
        ),
        VideoVerb::Paused | VideoVerb::Terminated => concat!(
            r#""result":{"extensions":{"https://w3id.org/xapi/video/extensions/time":$position,"#,
            r#""https://w3id.org/xapi/video/extensions/progress":$progress,"#,
            r#""https://w3id.org/xapi/video/extensions/played-segments":"$segments"}},"#
        ),
        VideoVerb::Completed => concat!(
            r#""result":{"completion":true,"duration":"PT$durationS","#,
            r#""extensions":{"https://w3id.org/xapi/video/extensions/time":$position,"#,
            r#""https://w3id.org/xapi/video/extensions/progress":$progress,"#,
            r#""https://w3id.org/xapi/video/extensions/played-segments":"$segments"}},"#
        ),
    }
}

/// A text as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A JSON string without its quotes.
fn escaped(text: &str) -> String {
    quoted(text).trim_matches('"').to_owned()
}
