//! Moodle, through the scripts of charts/moodle/files in its own pod. What they say of each other is in their heads.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cluster::exec;
use crate::error::{Failure, Kind};
use crate::output::units::took;
use crate::stack::Stack;

const CONTAINER: &str = "moodle";
/// What a script that works may take for a command that has no deadline.
const WORK_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// A pod in which Moodle runs.
pub struct Moodle {
    pods: Api<Pod>,
    pod: String,
    /// How long a question and how long work may take.
    question: Duration,
    deadline: Option<Instant>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct State {
    /// `4.5.12 (Build: 20260720)`
    pub release: String,
    pub upgrade_pending: bool,
    /// Whether its files are where this Moodle looks for them.
    pub has_plugin_files: bool,
    /// Of the plugin, without the password.
    pub settings: BTreeMap<String, String>,
    pub password_sha256: String,
    /// Settings that config.php holds fast.
    pub forced: Vec<String>,
    pub stores: Vec<String>,
    /// None while the plugin is not installed.
    pub queue: Option<Queue>,
    pub emit: Option<Task>,
    /// When the cron began last; 0: never.
    pub last_cron: i64,
    /// What is left of the volume with the files.
    pub free_bytes: Option<u64>,
    pub now: i64,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Task {
    pub last_run: i64,
    pub disabled: bool,
}

/// Events on their way. Times are seconds since 1970; 0: none.
#[derive(Debug, Clone, Deserialize)]
pub struct Queue {
    /// Since this Moodle began, whatever its log still keeps.
    pub logged: u64,
    pub waiting: u64,
    pub oldest_waiting: i64,
    pub last_sent: i64,
    pub newest_logged: i64,
    pub failed: Vec<Failed>,
}

/// Events that the plugin gave up on for one cause.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Failed {
    /// Of the newest of them.
    #[serde(flatten)]
    pub rejection: Rejection,
    /// Whether the LRS rejected the event when it was sent alone. Resending it changes nothing.
    pub alone: bool,
    pub events: u64,
    pub oldest: i64,
}

/// Why an event was not delivered.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Rejection {
    /// The HTTP status; 0 when there was no answer, [`TRANSFORM`] when nothing was sent.
    pub errortype: u32,
    /// What the LRS said.
    pub response: String,
}

/// The plugin's error type for an event that it cannot convert to a statement, such as one without a user (`TRANSFORM` in
/// the plugin logstore_xapi).
const TRANSFORM: u32 = 10_000;

impl Failed {
    /// Not lost by a fault: a healthy site collects them.
    pub fn is_no_statement(&self) -> bool {
        self.rejection.errortype == TRANSFORM
    }

    /// Whether sending it again may help.
    pub fn is_due(&self) -> bool {
        !self.is_no_statement() && !self.alone
    }

    pub fn cause(&self) -> String {
        if self.alone {
            format!("the LRS rejected them ({})", self.rejection.errortype)
        } else {
            self.rejection.cause()
        }
    }
}

impl Rejection {
    pub fn cure(&self) -> &'static str {
        match self.errortype {
            0 => {
                "look at the LRS first: `kubectl lastack status`; if it is well, `kubectl lastack configure lms` gives the plugin its address again"
            }
            401 | 403 | 404 => {
                "`kubectl lastack configure lms` gives the plugin address and password again"
            }
            500.. => "look at the LRS and the data lake: `kubectl lastack status`",
            _ => "`kubectl lastack replay` tells what the LRS says to each",
        }
    }

    pub fn cause(&self) -> String {
        match self.errortype {
            0 => "the LRS could not be reached".into(),
            TRANSFORM => "no statement can be made of them, such as visits without a login".into(),
            401 | 403 => {
                format!("the LRS answered {}: it does not know the account", self.errortype)
            }
            404 => "the LRS answered 404: the endpoint is wrong".into(),
            code => format!("the LRS answered {code}"),
        }
    }
}

/// An event that was made to be followed.
#[derive(Debug, Clone, Deserialize)]
pub struct LoggedEvent {
    /// Its number in Moodle's own log. None when Moodle's own log store is off.
    pub log: Option<i64>,
    pub time: i64,
    pub user: i64,
    pub learner: String,
    pub email: String,
    pub activity: String,
}

/// Where an event is.
#[derive(Debug, Clone, Deserialize)]
pub struct Whereabouts {
    pub waiting: bool,
    /// When it was sent; 0: not yet.
    pub sent: i64,
    pub failed: Option<Rejection>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Course {
    /// None: not made.
    pub course: Option<u64>,
    pub learner: Option<String>,
    pub enrolled: bool,
    pub has_password: bool,
}

/// What sending again came to, in events.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Replayed {
    pub due: u64,
    pub sent: u64,
    pub already: u64,
    pub refused: u64,
    pub never: u64,
    /// Why it did not come to the end.
    pub stopped: Option<String>,
}

#[derive(Deserialize)]
struct Changed {
    changed: Vec<String>,
}

impl Moodle {
    pub fn in_pod(stack: &Stack, pod: String) -> Self {
        Self {
            pods: stack.cluster.pod_streams(),
            pod,
            question: stack.cluster.script_timeout,
            deadline: stack.deadline,
        }
    }

    pub async fn state(&self) -> Result<State> {
        self.call("state", &json!({})).await
    }

    /// Sets what differs and gives the names of what was changed.
    pub async fn configure(
        &self,
        settings: &BTreeMap<&str, String>,
        password: &SecretString,
    ) -> Result<Vec<String>> {
        let mut settings = json!(settings);
        settings["password"] = password.expose_secret().into();
        let changed: Changed =
            self.call("configure", &json!({"settings": settings, "routes": true})).await?;
        Ok(changed.changed)
    }

    /// Enables the plugin's log store beside those that are.
    pub async fn enable_store(&self) -> Result<()> {
        self.call::<Changed>("configure", &json!({"stores": true})).await.map(drop)
    }

    pub async fn course(&self, shortname: &str) -> Result<Course> {
        self.call("course", &json!({"look": true, "shortname": shortname})).await
    }

    pub async fn make_course(
        &self,
        shortname: &str,
        fullname: &str,
        size: &str,
        password: &SecretString,
    ) -> Result<Course> {
        let asked = json!({"shortname": shortname, "fullname": fullname, "size": size, "password": password.expose_secret()});
        self.work("course", &asked).await
    }

    /// Lets a learner of the course view it.
    pub async fn make_event(&self, course: &str) -> Result<LoggedEvent> {
        self.call("event", &json!({"do": "make", "course": course})).await
    }

    pub async fn follow(&self, log: i64) -> Result<Whereabouts> {
        self.call("event", &json!({"do": "follow", "log": log})).await
    }

    /// Removes what Moodle and the plugin keep of an event.
    pub async fn forget(&self, log: i64) -> Result<()> {
        self.call::<Value>("event", &json!({"do": "forget", "log": log})).await.map(drop)
    }

    /// Resends failed events; with `refused`, also those that the LRS rejected when they were sent alone.
    pub async fn replay(&self, refused: bool) -> Result<Replayed> {
        self.work("replay", &json!({"refused": refused})).await
    }

    /// A script that is done in a moment.
    async fn call<T: DeserializeOwned>(&self, script: &str, input: &Value) -> Result<T> {
        self.run(script, input, self.question, "give Moodle more time with `--request-timeout`")
            .await
    }

    /// A script that takes as long as there is to do.
    async fn work<T: DeserializeOwned>(&self, script: &str, input: &Value) -> Result<T> {
        let left = self
            .deadline
            .map_or(WORK_TIMEOUT, |deadline| deadline.saturating_duration_since(Instant::now()));
        self.run(
            script,
            input,
            left.max(self.question),
            "look at what it came to before you run it again",
        )
        .await
    }

    async fn run<T: DeserializeOwned>(
        &self,
        script: &str,
        input: &Value,
        limit: Duration,
        hint: &str,
    ) -> Result<T> {
        let command = command(script);
        let words: Vec<&str> = command.split(' ').collect();
        let input = input.to_string();
        let ended = exec::run(&self.pods, &self.pod, CONTAINER, &words, input.as_bytes());
        let Ok(output) = tokio::time::timeout(limit, ended).await else {
            let why = format!(
                "Moodle did not end {script}.php within {}; it may still run in pod {}",
                took(limit),
                self.pod
            );
            return Err(Failure::new(Kind::TimedOut, why).hint(hint).into());
        };
        let output = output?;
        if output.code != 0 {
            let why = complaint(&output.stdout)
                .or_else(|| complaint(&output.stderr))
                .unwrap_or_else(|| format!("it ended with {}", output.code));
            return Err(Failure::failed(format!("Moodle could not run {script}.php: {why}")).into());
        }
        answer(&output.stdout)
            .with_context(|| format!("the answer of {script}.php in pod {}", self.pod))
    }
}

/// What runs in the pod.
fn command(script: &str) -> String {
    format!("php -d max_input_vars=10000 /opt/lastack/{script}.php")
}

/// Moodle may say something of its own before the last line.
fn answer<T: DeserializeOwned>(stdout: &str) -> Result<T> {
    let line = stdout.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    serde_json::from_str(line).with_context(|| {
        format!("`{}` is not what was expected", line.chars().take(200).collect::<String>())
    })
}

/// Moodle's own sentence, which it writes between exclamation marks, or the last line there is.
fn complaint(text: &str) -> Option<String> {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let marked = lines()
        .find_map(|line| Some(line.strip_prefix("!!!")?.strip_suffix("!!!")?.trim().to_string()));
    let sentence = marked.or_else(|| lines().next_back().map(str::to_string))?;
    Some(sentence.replace("<p>", "").replace("</p>", "").chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_last_line_whatever_moodle_says_before() {
        let changed: Value =
            answer("++ Notice: something ++\n\n{\"changed\":[\"endpoint\"]}\n").unwrap();
        assert_eq!(changed["changed"][0], "endpoint");
        assert!(
            answer::<Value>("Site is being upgraded")
                .unwrap_err()
                .to_string()
                .contains("Site is being upgraded")
        );
    }

    #[test]
    fn moodles_own_sentence_is_what_is_said_of_a_failure() {
        assert_eq!(
            complaint("\n!!! <p>Error: Database connection failed</p> !!!\n").as_deref(),
            Some("Error: Database connection failed")
        );
        assert_eq!(complaint("PHP Fatal error: a\nthrown in b\n").as_deref(), Some("thrown in b"));
        assert_eq!(complaint("\n"), None);
    }
}
