//! Moodle's own log, compared with what the plugin sent.

use std::ops::AddAssign;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::client::Moodle;

/// How long one call of Moodle's script sends, in seconds. Between two calls, other commands may send.
const TURN: u32 = 10;

/// A period of Moodle's log, in seconds since 1970.
#[derive(Debug, Clone)]
pub struct Period {
    pub since: i64,
    /// The first second after the period.
    pub until: i64,
    /// The short name of a course. None: all events.
    pub course: Option<String>,
}

/// The numbers of events in the log by what became of them
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct States {
    /// Sent to the LRS
    pub sent: u64,
    /// In the queue of the plugin
    pub waiting: u64,
    /// The LRS did not accept them
    pub failed: u64,
    /// Never sent, although the plugin makes statements of them
    pub missing: u64,
    /// The plugin could not convert them to statements
    pub not_convertible: u64,
    /// The settings of the plugin exclude their kind, or it does not know it
    pub unrouted: u64,
    /// Events without a user
    pub anonymous: u64,
    /// Events of the guest account, which the settings exclude
    pub guest: u64,
    /// Their course was deleted
    pub course_deleted: u64,
}

impl States {
    pub fn all(&self) -> u64 {
        self.named().into_iter().map(|(_, events)| events).sum()
    }

    /// The numbers with their meanings, for users.
    pub fn named(&self) -> [(&'static str, u64); 9] {
        [
            ("sent", self.sent),
            ("waiting in the queue", self.waiting),
            ("not delivered to the LRS", self.failed),
            ("never sent", self.missing),
            ("not convertible to statements", self.not_convertible),
            ("of kinds that the plugin does not send", self.unrouted),
            ("without a user", self.anonymous),
            ("of guests", self.guest),
            ("of deleted courses", self.course_deleted),
        ]
    }
}

impl AddAssign for States {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.waiting += other.waiting;
        self.failed += other.failed;
        self.missing += other.missing;
        self.not_convertible += other.not_convertible;
        self.unrouted += other.unrouted;
        self.anonymous += other.anonymous;
        self.guest += other.guest;
        self.course_deleted += other.course_deleted;
    }
}

/// The events of one kind, in one hour or in the whole period.
#[derive(Debug, Clone, Deserialize)]
pub struct Group {
    /// Such as `\core\event\course_viewed`.
    pub event: String,
    /// The beginning of the hour, in seconds since 1970. 0: the whole period.
    pub hour: i64,
    /// When the newest happened, in seconds since 1970.
    pub newest: i64,
    pub states: States,
}

#[derive(Deserialize)]
struct Counted {
    counted: Vec<Group>,
}

/// What one call sent.
#[derive(Debug, Clone, Deserialize)]
pub struct Sent {
    pub sent: u64,
    /// The LRS had stored them.
    pub already: u64,
    /// Rejected by the LRS even when sent alone.
    pub rejected: u64,
    /// The plugin could not convert them to statements.
    pub never: u64,
    /// Where to continue. None: the end of the period was reached.
    pub next: Option<i64>,
    /// Why it ended early.
    pub stopped: Option<String>,
}

/// The kinds of events that the plugin knows.
#[derive(Debug, Clone, Deserialize)]
pub struct Kinds {
    /// It can make statements of them.
    pub known: Vec<String>,
    /// Its settings include them.
    pub sent: Vec<String>,
}

impl Period {
    /// The SQL that fills the queue of a Moodle outside the stack with the events of the period. Its task for historical events
    /// then sends them.
    pub fn by_hand(&self) -> String {
        let course = self.course.as_ref().map(|course| {
            let name = course.replace('\'', "''");
            format!("\n   AND l.courseid = (SELECT id FROM mdl_course WHERE shortname = '{name}')")
        });
        const COLUMNS: &str = "eventname, component, action, target, objecttable, objectid, crud, edulevel, contextid, \
            contextlevel, contextinstanceid, userid, courseid, relateduserid, anonymous, other, timecreated, origin, ip, realuserid";
        let selected = COLUMNS.split(", ").map(|column| format!("l.{column}")).collect::<Vec<_>>();
        format!(
            "INSERT INTO mdl_logstore_xapi_log ({COLUMNS}, logstorestandardlogid, type)\n\
             SELECT {}, l.id, 1\n  FROM mdl_logstore_standard_log l\n \
             WHERE l.timecreated >= {} AND l.timecreated < {} AND l.userid > 0{}\n   \
             AND l.id NOT IN (SELECT logstorestandardlogid FROM mdl_logstore_xapi_sent_log WHERE logstorestandardlogid > 0)\n   \
             AND l.id NOT IN (SELECT logstorestandardlogid FROM mdl_logstore_xapi_failed_log WHERE logstorestandardlogid > 0)\n   \
             AND l.id NOT IN (SELECT logstorestandardlogid FROM mdl_logstore_xapi_log WHERE logstorestandardlogid > 0)\n \
             ORDER BY l.id;",
            selected.join(", "),
            self.since,
            self.until,
            course.unwrap_or_default()
        )
    }

    fn input(&self, task: &str) -> Value {
        json!({"do": task, "since": self.since, "until": self.until, "course": self.course})
    }
}

impl Moodle {
    /// Counts the events of a period by kind, and by hour on request. Events of the last five minutes are not counted.
    ///
    /// # Errors
    /// When the script fails, such as for a course that does not exist.
    pub async fn count_log(&self, period: &Period, by_hour: bool) -> Result<Vec<Group>> {
        let mut input = period.input("count");
        input["hours"] = by_hour.into();
        Ok(self.change::<Counted>("history", &input).await?.counted)
    }

    /// Sends events that were never sent, for some seconds.
    ///
    /// # Errors
    /// When the script fails.
    pub async fn send_missing(&self, period: &Period) -> Result<Sent> {
        let mut input = period.input("send");
        input["seconds"] = TURN.into();
        self.change("history", &input).await
    }

    /// Compares events of one kind that were sent with the LRS, and sends those that it has lost, for some seconds.
    ///
    /// # Errors
    /// When the script fails.
    pub async fn send_lost(&self, period: &Period, event: &str) -> Result<Sent> {
        let mut input = period.input("send");
        input["seconds"] = TURN.into();
        input["lost"] = event.into();
        self.change("history", &input).await
    }

    /// The kinds of events that the plugin knows.
    ///
    /// # Errors
    /// When the script fails.
    pub async fn event_kinds(&self) -> Result<Kinds> {
        self.call("history", &json!({"do": "kinds"})).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_of_another_moodle_gets_the_events_of_the_period() {
        let period = Period { since: 10, until: 20, course: Some("O'1".into()) };
        let sql = period.by_hand();
        assert!(sql.contains("l.timecreated >= 10 AND l.timecreated < 20"), "{sql}");
        assert!(sql.contains("shortname = 'O''1')"), "{sql}");
        assert!(!Period { course: None, ..period }.by_hand().contains("mdl_course"));
    }
}
