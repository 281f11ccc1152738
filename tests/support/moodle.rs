//! A Moodle stand-in that the scripts of the chart configure, and that fails on demand.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::server::{Reply, Request, Server};
use super::streams::Exited;

pub const SITE: &str = "http://localhost:8080";

pub struct Moodle {
    /// The server of its pages.
    pub server: Server,
    world: Arc<Mutex<World>>,
}

/// The state of Moodle and the plugin, and the faults that a test sets.
#[derive(Clone)]
pub struct World {
    pub settings: BTreeMap<String, String>,
    pub forced: Vec<String>,
    pub stores: Vec<String>,
    pub installed: bool,
    pub waiting: u64,
    /// Age of the oldest waiting event, in seconds.
    pub waiting_since: i64,
    pub failed: Vec<Value>,
    /// Seconds since cron sent events; None if it never did.
    pub cron: Option<i64>,
    pub courses: Vec<String>,
    /// State of a traced event: `sent`, `waiting`, `lost`, or a status code of the LRS.
    pub fate: String,
    /// Result of a replay.
    pub replayed: Value,
    /// The groups of events in its log: event, hour and numbers by state.
    pub log: Vec<Value>,
    /// Results of the next attempts to send events of the log. Then nothing is left.
    pub sends: VecDeque<Value>,
    pub free_bytes: u64,
    /// The version that Moodle reports.
    pub release: &'static str,
    /// Whether the administrator chose another password in Moodle.
    pub admin_password_changed: bool,
    /// The password of the learner in the test course.
    pub learner_password: Value,
    /// An error message of Moodle, and the number of next scripts that end with it.
    pub complains: (String, u32),
    /// HTTP status of the login page.
    pub login: u16,
    /// The external address.
    pub site: String,
    /// The scripts that ran: name and input.
    pub called: Vec<(String, Value)>,
}

/// The kind of event of a learner who views a course.
pub const VIEWED: &str = "\\core\\event\\course_viewed";

/// The result of an attempt to send events of the log.
pub fn sent(events: u64, next: Option<i64>) -> Value {
    json!({"sent": events, "already": 0, "rejected": 0, "never": 0, "next": next, "stopped": null})
}

impl Default for World {
    fn default() -> Self {
        Self {
            settings: BTreeMap::from([
                ("routes".into(), "\\core\\event\\course_viewed".into()),
                ("endpoint".into(), "http://example.com/".into()),
            ]),
            forced: Vec::new(),
            stores: vec!["logstore_standard".into()],
            installed: true,
            waiting: 0,
            waiting_since: 0,
            failed: Vec::new(),
            cron: Some(20),
            courses: Vec::new(),
            fate: "sent".into(),
            replayed: Value::Null,
            log: Vec::new(),
            sends: VecDeque::new(),
            free_bytes: 1 << 30,
            release: "4.5.12 (Build: 20260720)",
            admin_password_changed: false,
            learner_password: Value::Null,
            complains: (String::new(), 0),
            login: 200,
            site: SITE.into(),
            called: Vec::new(),
        }
    }
}

impl Moodle {
    pub fn start() -> Self {
        let world = Arc::new(Mutex::new(World::default()));
        let shared = Arc::clone(&world);
        let server = Server::start(move |request| shared.lock().expect("Moodle").page(request));
        Self { server, world }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("Moodle")
    }

    /// The scripts in the pod of Moodle.
    pub fn scripts(&self) -> impl Fn(&[String], &[u8]) -> Exited + Send + Sync + 'static {
        let world = Arc::clone(&self.world);
        move |words, input| world.lock().expect("Moodle").run(words, input)
    }
}

impl World {
    fn page(&self, request: &Request) -> Reply {
        let host =
            request.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        match self.login {
            200 if self.site.ends_with(host) => Reply::text(200, "<body id=\"page-login-index\">"),
            200 => Reply::text(404, format!("asked as {host}")),
            status => Reply::text(status, "<body>Error: Database connection failed</body>"),
        }
    }

    fn run(&mut self, words: &[String], input: &[u8]) -> Exited {
        let (sentence, scripts) = &mut self.complains;
        if *scripts > 0 {
            *scripts -= 1;
            return Exited {
                code: 1,
                stdout: format!("!!! {sentence} !!!\n"),
                stderr: String::new(),
            };
        }
        let script = words
            .last()
            .and_then(|path| path.strip_prefix("/opt/lastack/")?.strip_suffix(".php"))
            .expect("a script of the chart")
            .to_string();
        let input: Value = serde_json::from_slice(input).expect("JSON for a script");
        self.called.push((script.clone(), input.clone()));
        let reply = match script.as_str() {
            "state" => self.state(),
            "configure" => self.configure(&input),
            "course" => self.course(&input),
            "event" => self.event(&input),
            "replay" => self.replayed.clone(),
            "history" => self.history(&input),
            other => panic!("no script {other}"),
        };
        Exited {
            code: 0,
            stdout: format!("++ a message of Moodle ++\n{reply}\n"),
            stderr: String::new(),
        }
    }

    fn history(&mut self, input: &Value) -> Value {
        match input["do"].as_str() {
            Some("count") => json!({"counted": self.log}),
            Some("send") => self.sends.pop_front().unwrap_or_else(|| sent(0, None)),
            Some("kinds") => {
                json!({"known": [VIEWED, "\\core\\event\\user_loggedin"], "sent": [VIEWED]})
            }
            other => panic!("no task {other:?}"),
        }
    }

    fn state(&self) -> Value {
        let mut settings = self.settings.clone();
        let password = settings.remove("password").unwrap_or_default();
        let digest = HEXLOWER.encode(&Sha256::digest(password));
        let now = now();
        json!({
            "release": self.release, "admin_password_changed": self.admin_password_changed, "upgrade_pending": false,
            "has_plugin_files": self.installed,
            "settings": settings, "password_sha256": digest, "forced": self.forced, "stores": self.stores,
            "queue": self.installed.then(|| json!({
                "logged": 312, "logged_last_hour": 24, "waiting": self.waiting, "oldest_waiting": if self.waiting > 0 { now - self.waiting_since } else { 0 },
                "last_sent": now - 30, "newest_logged": now - 12, "failed": self.failed,
            })),
            "emit": self.installed.then(|| json!({"last_run": self.cron.map_or(0, |ago| now - ago), "disabled": false})),
            "last_cron": self.cron.map_or(0, |ago| now - ago), "free_bytes": self.free_bytes, "now": now,
        })
    }

    fn configure(&mut self, input: &Value) -> Value {
        let mut changed = Vec::new();
        for (name, value) in input["settings"].as_object().into_iter().flatten() {
            let value = value.as_str().expect("settings are text").to_string();
            if self.settings.insert(name.clone(), value.clone()) != Some(value) {
                changed.push(name.clone());
            }
        }
        if input["routes"] == true && self.settings.get("routes").is_none_or(String::is_empty) {
            self.settings.insert("routes".into(), "\\core\\event\\course_viewed".into());
        }
        if input["stores"] == true {
            self.stores.retain(|store| store != "logstore_standard" && store != "logstore_xapi");
            self.stores.insert(0, "logstore_standard".into());
            self.stores.push("logstore_xapi".into());
        }
        json!({"changed": changed})
    }

    fn course(&mut self, input: &Value) -> Value {
        let name = input["shortname"].as_str().expect("a short name").to_string();
        if input["look"] != true {
            if !self.courses.contains(&name) {
                self.courses.push(name.clone());
            }
            self.learner_password = input["password"].clone();
        }
        let there = self.courses.contains(&name);
        let has_password = there && self.learner_password == input["password"];
        json!({"course": there.then_some(2), "learner": there.then_some("tool_generator_000001"), "enrolled": there, "has_password": has_password})
    }

    fn event(&self, input: &Value) -> Value {
        match input["do"].as_str() {
            Some("make") => {
                json!({"log": 7, "time": EVENT, "user": 3, "learner": "tool_generator_000001", "email": "learner@example.org", "activity": ACTIVITY})
            }
            Some("follow") => {
                let failed = self
                    .fate
                    .parse::<u32>()
                    .ok()
                    .map(|code| json!({"errortype": code, "response": "{\"detail\":\"no\"}"}));
                json!({"waiting": self.fate == "waiting", "sent": if self.fate == "sent" { EVENT + 1 } else { 0 }, "failed": failed})
            }
            _ => json!({}),
        }
    }
}

/// Time and activity of the event that a trace creates.
pub const EVENT: i64 = 1_772_323_200;
const ACTIVITY: &str = "http://localhost:8080/course/view.php?id=2";

/// The statement that the plugin builds from that event.
pub fn statement_of_the_event() -> Value {
    json!({
        "id": "00000000-0000-4000-8000-0000000000a1", "timestamp": jiff::Timestamp::from_second(EVENT).expect("a time").to_string(),
        "actor": {"account": {"homePage": SITE, "name": "3"}}, "verb": {"id": "http://id.tincanapi.com/verb/viewed"},
        "object": {"id": ACTIVITY},
    })
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs() as i64
}

/// A release of the plugin, as a zip archive.
pub fn plugin(release: &str, supported: &str) -> Vec<u8> {
    let number = release.replace('.', "");
    let version = format!(
        "<?php\n$plugin->component = 'logstore_xapi';\n$plugin->version = 2026010{number};\n$plugin->supported = {supported};\n$plugin->release = '{release}';\n"
    );
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in
        [("version.php", version.as_str()), ("lib.php", "<?php"), ("tests/all.php", "<?php")]
    {
        archive
            .start_file(
                format!("moodle-logstore_xapi-{release}/{name}"),
                SimpleFileOptions::default(),
            )
            .expect("a zip");
        archive.write_all(text.as_bytes()).expect("a zip");
    }
    archive.finish().expect("a zip").into_inner()
}
