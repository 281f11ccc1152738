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

    /// Compares events of one kind that were sent with the LRS, and sends those that it has lost.
    ///
    /// # Errors
    /// When the script fails.
    pub async fn send_lost(&self, period: &Period, event: &str) -> Result<Sent> {
        let mut input = period.input("send");
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
