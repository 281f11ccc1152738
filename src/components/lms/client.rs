//! A client for Moodle: runs the scripts of `charts/moodle/files` in a Pod of Moodle. The header of each script documents its
//! input and output.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cluster::exec::{self, Container};
use crate::cluster::log;
use crate::error::{Failure, Kind};
use crate::output::units::took;
use crate::stack::Stack;

pub const CONTAINER: &str = "moodle";
/// The timeout of a script that changes something, for a command without a deadline.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// A Pod of Moodle.
pub struct Moodle {
    pub(super) container: Container,
    /// The timeout of a script that only reads.
    query_timeout: Duration,
    /// The deadline of the command, for a script that changes something.
    deadline: Option<Instant>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct State {
    /// `4.5.12 (Build: 20260720)`
    pub release: String,
    /// Whether the administrator's password differs from the one in the Secret.
    pub admin_password_changed: bool,
    pub upgrade_pending: bool,
    /// Whether the files of the plugin exist.
    pub has_plugin_files: bool,
    /// The settings of the plugin, without the password.
    pub settings: BTreeMap<String, String>,
    pub password_sha256: String,
    /// Settings that config.php forces.
    pub forced: Vec<String>,
    pub stores: Vec<String>,
    /// None while the plugin is not installed.
    pub queue: Option<Queue>,
    pub emit: Option<Task>,
    /// Start of the last cron run, in seconds since 1970. 0: never.
    pub last_cron: i64,
    /// Free space of the volume with the files.
    pub free_bytes: Option<u64>,
    pub now: i64,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Task {
    pub last_run: i64,
    pub disabled: bool,
}

/// The queue of events. Times are seconds since 1970; 0: none.
#[derive(Debug, Clone, Deserialize)]
pub struct Queue {
    /// Events since the installation of Moodle, including those that were deleted from its log.
    pub logged: u64,
    pub logged_last_hour: u64,
    pub waiting: u64,
    pub oldest_waiting: i64,
    pub last_sent: i64,
    pub newest_logged: i64,
    pub failed: Vec<Failed>,
}

impl Queue {
    /// The number of failed events that resending may deliver.
    pub fn due(&self) -> u64 {
        self.failed.iter().filter(|failed| failed.is_due()).map(|failed| failed.events).sum()
    }
}

/// Events that were not delivered for one cause.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Failed {
    /// The rejection of the newest of these events.
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
    /// The HTTP status. 0: there was no response. [`TRANSFORM`]: nothing was sent.
    pub errortype: u32,
    /// The body of the LRS's response.
    pub response: String,
}

/// The plugin's error type for an event that it cannot convert to a statement, such as one without a user (`TRANSFORM` in
/// the plugin logstore_xapi).
const TRANSFORM: u32 = 10_000;

impl Failed {
    /// Whether the plugin cannot convert the events to statements. This is normal on a healthy site.
    pub fn is_not_convertible(&self) -> bool {
        self.rejection.errortype == TRANSFORM
    }

    /// Whether resending the events may succeed.
    pub fn is_due(&self) -> bool {
        !self.is_not_convertible() && !self.alone
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
    pub fn hint(&self) -> &'static str {
        match self.errortype {
            0 => {
                "check the LRS with `kubectl lastack status`; if it is healthy, run `kubectl lastack configure lms` to restore its address in the plugin"
            }
            401 | 403 | 404 => {
                "run `kubectl lastack configure lms` to restore the address and the password in the plugin"
            }
            500.. => "check the LRS and the data lake with `kubectl lastack status`",
            _ => "run `kubectl lastack replay`, which shows the LRS's response to each event",
        }
    }

    pub fn cause(&self) -> String {
        match self.errortype {
            0 => "the LRS could not be reached".into(),
            TRANSFORM => {
                "they cannot be converted to statements, such as visits without a login".into()
            }
            401 | 403 => {
                format!("the LRS responded with {}: it rejects the account", self.errortype)
            }
            404 => "the LRS responded with 404: the endpoint is wrong".into(),
            code => format!("the LRS responded with {code}"),
        }
    }
}

/// An event that was created for `trace`.
#[derive(Debug, Clone, Deserialize)]
pub struct LoggedEvent {
    /// Its id in Moodle's own log. None when Moodle's own log store is disabled.
    pub log: Option<i64>,
    pub time: i64,
    pub user: i64,
    pub learner: String,
    pub email: String,
    pub activity: String,
}

/// The delivery of an event.
#[derive(Debug, Clone, Deserialize)]
pub struct Delivery {
    pub waiting: bool,
    /// Time of sending, in seconds since 1970. 0: not yet.
    pub sent: i64,
    pub failed: Option<Rejection>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Course {
    /// Its id. None: the course does not exist.
    pub course: Option<u64>,
    pub learner: Option<String>,
    pub enrolled: bool,
    /// Whether the learner has the given password, or one that was changed in Moodle since.
    pub has_password: bool,
}

/// The result of a replay, in numbers of events.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Replayed {
    /// Events to resend
    pub due: u64,
    /// New to the LRS
    pub sent: u64,
    /// The LRS had stored them
    pub already: u64,
    /// Rejected by the LRS even when sent alone
    pub rejected: u64,
    /// They cannot be converted to statements
    pub never: u64,
    /// Why the replay stopped early; null: it is complete
    pub stopped: Option<String>,
}

#[derive(Deserialize)]
struct Changed {
    changed: Vec<String>,
}

impl Moodle {
    pub fn in_pod(stack: &Stack, pod: String) -> Self {
        Self {
            container: Container { pods: stack.cluster.pod_streams(), pod, name: CONTAINER },
            query_timeout: stack.cluster.script_timeout,
            deadline: stack.deadline,
        }
    }

    pub async fn state(&self) -> Result<State> {
        self.call("state", &json!({})).await
    }

    /// Applies the settings that differ. Returns the names of the changed settings.
    ///
    /// # Errors
    /// When the script fails.
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

    /// Enables the plugin's log store in addition to the enabled ones.
    pub async fn enable_store(&self) -> Result<()> {
        self.call::<Changed>("configure", &json!({"stores": true})).await.map(drop)
    }

    pub async fn course(&self, shortname: &str, password: &SecretString) -> Result<Course> {
        let input =
            json!({"look": true, "shortname": shortname, "password": password.expose_secret()});
        self.call("course", &input).await
    }

    pub async fn make_course(
        &self,
        shortname: &str,
        fullname: &str,
        size: &str,
        password: &SecretString,
    ) -> Result<Course> {
        let input = json!({"shortname": shortname, "fullname": fullname, "size": size, "password": password.expose_secret()});
        self.change("course", &input).await
    }

    /// Creates an event: a learner of the course views it.
    pub async fn make_event(&self, course: &str) -> Result<LoggedEvent> {
        self.call("event", &json!({"do": "make", "course": course})).await
    }

    pub async fn follow(&self, log: i64) -> Result<Delivery> {
        self.call("event", &json!({"do": "follow", "log": log})).await
    }

    /// Deletes an event from Moodle's log and from the plugin.
    pub async fn forget(&self, log: i64) -> Result<()> {
        self.call::<Value>("event", &json!({"do": "forget", "log": log})).await.map(drop)
    }

    /// Resends failed events; with `rejected`, also those that the LRS rejected when they were sent alone.
    pub async fn replay(&self, rejected: bool) -> Result<Replayed> {
        self.change("replay", &json!({"rejected": rejected})).await
    }

    /// Runs a script that only reads or makes a small change.
    pub(super) async fn call<T: DeserializeOwned>(&self, script: &str, input: &Value) -> Result<T> {
        self.run(script, input, self.query_timeout, "increase `--request-timeout`").await
    }

    /// Runs a script whose duration depends on the amount of data.
    pub(super) async fn change<T: DeserializeOwned>(
        &self,
        script: &str,
        input: &Value,
    ) -> Result<T> {
        let remaining = self
            .deadline
            .map_or(CHANGE_TIMEOUT, |deadline| deadline.saturating_duration_since(Instant::now()));
        self.run(
            script,
            input,
            remaining.max(self.query_timeout),
            "check the result in Moodle before you repeat the command",
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
        let ended = exec::run(&self.container, &words, input.as_bytes());
        let Ok(output) = tokio::time::timeout(limit, ended).await else {
            let why = format!(
                "script {script}.php of Moodle did not end within {}; it may still run in pod {}",
                took(limit),
                self.container.pod
            );
            return Err(Failure::new(Kind::TimedOut, why).hint(hint).into());
        };
        let output = output?;
        if output.code != 0 {
            let why = log::cause(&output.stdout)
                .or_else(|| log::cause(&output.stderr))
                .unwrap_or_else(|| format!("exit code {}", output.code));
            return Err(
                Failure::failed(format!("script {script}.php of Moodle failed: {why}")).into()
            );
        }
        parse(&output.stdout).with_context(|| {
            format!("cannot parse the output of {script}.php in pod {}", self.container.pod)
        })
    }
}

/// The command that runs a script in the Pod.
pub(super) fn command(script: &str) -> String {
    format!("php -d max_input_vars=10000 /opt/lastack/{script}.php")
}

/// Parses the last line. Moodle may print notices before it.
fn parse<T: DeserializeOwned>(stdout: &str) -> Result<T> {
    let line = stdout.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    serde_json::from_str(line).with_context(|| {
        format!("unexpected output `{}`", line.chars().take(200).collect::<String>())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_parsed_from_last_line() {
        let changed: Value =
            parse("++ Notice: something ++\n\n{\"changed\":[\"endpoint\"]}\n").unwrap();
        assert_eq!(changed["changed"][0], "endpoint");
        assert!(
            parse::<Value>("Site is being upgraded")
                .unwrap_err()
                .to_string()
                .contains("Site is being upgraded")
        );
    }
}
