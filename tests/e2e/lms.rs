//! Moodle in the shared stack: the path of an event to a statement, and its faults.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::cluster::{Ended, Need, eventually};
use crate::components::{data_lake, in_moodle, php_in_moodle, shell_in_moodle};
use crate::stack;

fn php(code: &str) -> String {
    php_in_moodle(stack(), code)
}

/// Changes a setting, as an administrator of Moodle does.
pub fn set(plugin: &str, name: &str, value: &str) {
    // as after the three minutes for which a running cron keeps what it has read
    php(&format!(
        "set_config('{name}', '{value}', '{plugin}'); \\core\\task\\manager::clear_static_caches();"
    ));
}

fn in_pod(command: &str) -> Ended {
    in_moodle(stack(), command)
}

/// Sends the waiting events, as cron does every minute. Moodle waits at most ten seconds for the lock of its own cron, which
/// a busy machine can hold longer.
pub fn emit() {
    eventually("cron releases the task", || {
        let ended =
            in_pod(r"php admin/cli/scheduled_task.php --execute=\logstore_xapi\task\emit_task");
        let is_held = ended.stdout.contains("Cannot obtain task lock");
        if !is_held {
            ended.good();
        }
        !is_held
    });
}

/// Runs a command, and calls a function for each line of stderr with this text.
pub fn when_it_says(line: &str, what: &str, then: impl Fn()) -> Ended {
    let mut command = stack().start(line);
    let mut stderr = String::new();
    for line in BufReader::new(command.stderr.take().expect("a pipe"))
        .lines()
        .map(|line| line.expect("text"))
    {
        if line.contains(what) {
            then();
        }
        stderr += &format!("{line}\n");
    }
    Ended { stderr, ..Ended::of(line, command) }
}

/// Runs `trace`, and makes the task of Moodle's cron due when `trace` waits for it. The test does not wait for a full minute.
pub fn trace(flags: &str) -> Ended {
    when_it_says(&format!("trace {flags}"), "waiting for cron, which sends once per minute", is_due)
}

/// Makes the sending task due. Cron checks every second.
fn is_due() {
    php(
        r"$DB->set_field('task_scheduled', 'nextruntime', 0, ['classname' => '\logstore_xapi\task\emit_task']);",
    );
}

/// Stops the replay service of the pod, so that only the test resends events.
pub fn stop_replay_service() {
    in_pod("sv down /etc/service/replay").good();
}

/// Makes the last `learners` of a course view it; `trace` uses the first one. Returns the Unix time of the first view.
pub fn views(course: &str, learners: usize) -> i64 {
    let began = php(&format!(
        "$course = $DB->get_record('course', ['shortname' => '{course}'], '*', MUST_EXIST);
         $users = $DB->get_records_sql('SELECT u.* FROM {{user}} u JOIN {{user_enrolments}} ue ON ue.userid = u.id JOIN {{enrol}} e ON e.id = ue.enrolid WHERE e.courseid = ? ORDER BY u.id DESC', [$course->id], 0, {learners});
         echo time();
         foreach ($users as $user) {{
             \\core\\session\\manager::set_user($user);
             \\core\\event\\course_viewed::create(['context' => context_course::instance($course->id)])->trigger();
         }}
         get_log_manager(true);"
    ));
    began
        .lines()
        .last()
        .and_then(|line| line.trim().parse().ok())
        .unwrap_or_else(|| panic!("{began} should be a time"))
}

fn course_id(course: &str) -> String {
    php(&format!("echo $DB->get_field('course', 'id', ['shortname' => '{course}']);"))
}

/// The viewers of the course since a time, from the LRS, with one entry per statement.
fn viewers(course: &str, since: i64) -> Vec<String> {
    let url =
        stack().lastack("open lms --print").good().stdout.trim().trim_end_matches('/').to_string();
    let since = jiff::Timestamp::from_second(since - 1).unwrap();
    let asked = format!(
        "statements --all -o ndjson --verb http://id.tincanapi.com/verb/viewed --since {since} --activity {url}/course/view.php?id={}",
        course_id(course)
    );
    let lines = stack().lastack(&asked).good().stdout;
    let actor = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["actor"]["account"]["name"]
            .as_str()
            .unwrap()
            .to_string()
    };
    lines.lines().map(actor).collect()
}

#[track_caller]
pub fn assert_each_once(course: &str, since: i64, learners: usize) {
    // Elasticsearch finds new statements after a refresh
    data_lake("lastack", "statements/_refresh -X POST", "").good();
    let viewers = viewers(course, since);
    let different: BTreeSet<&String> = viewers.iter().collect();
    assert_eq!(
        (different.len(), viewers.len()),
        (learners, learners),
        "each learner's view should be stored once: {viewers:?}"
    );
}

fn assert_healthy() {
    stack().lastack("status").good().shows("events, 0 waiting");
}

#[test]
fn trace_follows_an_event_to_the_data_lake_and_deletes_it() {
    let trace = trace("-o json").good().json();
    assert_eq!(trace["arrived"], true, "{trace}");
    assert_eq!(trace["hops"].as_array().unwrap().len(), 6);
    let event = trace["hops"][0]["detail"].as_str().unwrap();
    assert!(event.starts_with("tool_generator_000001 viewed course"), "a learner's event: {event}");
    let id = trace["hops"][3]["detail"].as_str().unwrap().trim_start_matches("statement ");
    let counted =
        data_lake("lastack", &format!("statements/_count?q=_id:%22{id}%22"), "").good().json();
    assert_eq!(counted["count"], 0, "the data lake should not count the deleted statement");
}

#[test]
fn learner_click_in_a_browser_becomes_a_statement_within_two_cron_runs() {
    if Need::LoadBalancer.is_missing() {
        return;
    }
    let accounts = stack().lastack("creds lms -o json").good().json();
    let learner = accounts["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["user"] != "user")
        .expect("a learner")
        .clone();
    let url =
        stack().lastack("open lms --print").good().stdout.trim().trim_end_matches('/').to_string();
    let began = php("echo time();").parse::<i64>().expect("a time");
    let asked = json!({"url": url, "user": learner["user"], "password": learner["password"], "course": course_id("lastack-S")});
    stack()
        .run("/usr/bin/python3", &["tests/e2e/learner.py"], &asked.to_string())
        .good()
        .shows("Test course S");
    // the trace ends when cron has sent all earlier events, at most two cron runs later
    trace("").good();
    let user = php(&format!(
        "echo $DB->get_field('user', 'id', ['username' => {}]);",
        learner["user"].to_string().replace('"', "'")
    ));
    assert!(
        viewers("lastack-S", began).contains(&user),
        "the LRS should have the view of learner {user}"
    );
    // the click is one of the events of the last hour
    let status = stack().lastack("status -o json").good().json();
    let figures = |name: &str| {
        let components = status["components"].as_array().unwrap();
        let found = components.iter().find(|one| one["component"] == name);
        found.unwrap_or_else(|| panic!("{name}: {status:#}"))["figures"].clone()
    };
    assert!(figures("lms")["eventsLastHour"].as_u64() > Some(0), "{status:#}");
    let lake = figures("datalake");
    assert!(lake["storedLastHour"].as_u64() > Some(0), "{status:#}");
    let lag = |name: &str| lake[name].as_u64().unwrap_or_else(|| panic!("{name}: {status:#}"));
    assert!(lag("lagMedianMilliseconds") <= lag("lagP95Milliseconds"), "{status:#}");
}

#[test]
fn changed_setting_is_named_by_status_and_restored_by_configure() {
    for (plugin, name, value, says) in [
        ("logstore_xapi", "routes", "", "logstore_xapi/routes is empty"),
        (
            "logstore_xapi",
            "endpoint",
            "http://nowhere.invalid/xAPI",
            "logstore_xapi/endpoint is http://nowhere.invalid/xAPI",
        ),
        ("logstore_xapi", "send_name", "1", "logstore_xapi/send_name is 1, should be 0"),
        (
            "tool_log",
            "enabled_stores",
            "logstore_legacy,logstore_standard",
            "tool_log/enabled_stores is logstore_legacy,logstore_standard",
        ),
    ] {
        set(plugin, name, value);
        stack().lastack("status").exits(3).shows(says);
        if name == "routes" || name == "enabled_stores" {
            stack().lastack("trace").exits(3).shows("stopped: moodle.queue").shows(says);
        }
        stack().lastack("configure lms").good();
        assert_healthy();
    }
    let stores = php("echo get_config('tool_log', 'enabled_stores');");
    assert_eq!(
        stores, "logstore_standard,logstore_legacy,logstore_xapi",
        "the other log store should stay enabled"
    );
    set("tool_log", "enabled_stores", "logstore_standard,logstore_xapi");
}

#[test]
fn wrong_lrs_password_stops_events_and_replay_resends_them() {
    stop_replay_service();
    set("logstore_xapi", "password", "guessed");
    let began = views("lastack-S", 3);
    trace("")
        .exits(3)
        .shows("stopped: moodle.sent: the LRS responded with 401")
        .shows("kubectl lastack configure lms");
    stack()
        .lastack("status")
        .exits(3)
        .shows("3 not delivered: the LRS responded with 401")
        .shows("logstore_xapi/password is different");
    stack().lastack("configure lms").good();
    stack().lastack("replay --yes").good().shows("3 of 3 events resent");
    assert_healthy();
    assert_each_once("lastack-S", began, 3);
}

#[test]
fn wrong_lrs_endpoint_stops_the_event_and_is_named() {
    for (endpoint, says) in [
        ("http://lrs-ralph.e2e.svc/elsewhere", "the LRS responded with 404: the endpoint is wrong"),
        ("http://nowhere.invalid/xAPI", "the LRS could not be reached"),
        ("https://lrs-ralph.e2e.svc:80/xAPI", "the LRS could not be reached"),
    ] {
        set("logstore_xapi", "endpoint", endpoint);
        trace("")
            .exits(3)
            .shows(&format!("stopped: moodle.sent: {says}"))
            .shows("kubectl lastack configure lms");
        stack().lastack("status").exits(3).shows(&format!("logstore_xapi/endpoint is {endpoint}"));
        stack().lastack("configure lms").good();
        assert_healthy();
    }
}

#[test]
fn replay_after_an_lrs_outage_stores_every_event_once() {
    stop_replay_service();
    stack().kubectl("scale deployment lrs-ralph --replicas=0");
    stack().kubectl("wait --for=delete pod -l app.kubernetes.io/instance=lrs --timeout=60s");
    let began = views("lastack-S", 20);
    emit();
    stack().lastack("status").exits(3).shows("20 not delivered: the LRS could not be reached");
    stack().lastack("replay --yes").exits(3).shows("stopped early: the LRS cannot be reached");
    stack().kubectl("scale deployment lrs-ralph --replicas=1");
    stack().kubectl("rollout status deployment/lrs-ralph --timeout=120s");
    // the Service routes to the new pod shortly after the pod is ready
    let is_reached = "echo @fsockopen('lrs-ralph', 80) ? 'yes' : 'no';";
    eventually("Moodle reaches the LRS", || php(is_reached) == "yes");
    stack().lastack("replay --dry-run").good().shows("20 events would be resent");
    stack().lastack("replay --yes").good().shows("20 of 20 events resent, 0 already stored");
    assert_each_once("lastack-S", began, 20);

    // the LRS stored the statements, and its response was lost
    php(&format!(
        "foreach ($DB->get_records_select('logstore_standard_log', 'timecreated >= ? AND eventname = ?', [{began}, '\\core\\event\\course_viewed']) as $row) {{
             $row->logstorestandardlogid = $row->id; $row->type = 0; $row->errortype = 500; $row->response = 'lost';
             $DB->insert_record('logstore_xapi_failed_log', $row);
         }}"
    ));
    stack().lastack("replay --yes").good().shows("0 of 20 events resent, 20 already stored");
    assert_each_once("lastack-S", began, 20);
    assert_healthy();
}

#[test]
fn moodle_resends_failed_events_without_a_command() {
    // an earlier test may have stopped the service
    in_pod("sv up /etc/service/replay").good();
    set("logstore_xapi", "password", "guessed");
    let began = views("lastack-S", 5);
    emit();
    stack().lastack("status").exits(3).shows("5 not delivered");
    stack().lastack("configure lms").good();
    eventually("the replay service resends the failed events", || {
        // ends the pause of the service between two checks
        in_pod("pkill -f sleep.300");
        !stack().lastack("status").stdout.contains("not delivered")
    });
    assert_each_once("lastack-S", began, 5);
}

#[test]
fn rejected_statement_does_not_block_the_others() {
    stop_replay_service();
    let course = format!("rejected-{}", std::process::id());
    let rename = |name: &str| {
        php(&format!("$DB->set_field('course', 'fullname', {name}, ['shortname' => '{course}']);"))
    };
    in_pod(&format!("php admin/tool/generator/cli/maketestcourse.php --shortname={course} --size=XS --bypasscheck --quiet")).good();
    emit();
    // cron could send the first event alone at the next full minute
    in_pod("sv down /etc/service/cron").good();
    rename("str_repeat('x', 250)");
    let began = views(&course, 1);
    views("lastack-S", 3);
    emit();
    in_pod("sv up /etc/service/cron").good();
    stack()
        .lastack("replay --yes")
        .exits(3)
        .shows("3 of 4 events resent")
        .shows("1 rejected by the LRS even when sent alone");
    assert_each_once("lastack-S", began, 3);
    stack().lastack("status").good().shows("1 rejected by the LRS");
    stack().lastack("replay").good().shows("with --rejected").shows("No events to resend");
    rename("'Accepted now'");
    stack().lastack("replay --yes --rejected").good().shows("1 of 1 events resent");
    assert_each_once(&course, began, 1);
}

#[test]
fn stopped_cron_is_named_by_status_and_trace() {
    in_pod("sv down /etc/service/cron").good();
    php(
        "$DB->set_field('task_scheduled', 'lastruntime', time() - 900, ['classname' => '\\logstore_xapi\\task\\emit_task']);",
    );
    stack().lastack("status").exits(3).shows("Moodle's cron last sent events 15m ago");
    stack()
        .lastack("trace --timeout 2s")
        .exits(3)
        .shows("stopped: moodle.sent: Moodle's cron last sent events 15m ago");
    let restart_cron = || {
        is_due();
        in_pod("sv up /etc/service/cron").good();
    };
    when_it_says("install", "Moodle's cron last sent events 15m ago", restart_cron)
        .good()
        .shows("ok        lms.cron");
    assert_healthy();
}

#[test]
fn two_concurrent_configure_runs_have_the_result_of_one() {
    set("logstore_xapi", "maxbatchsize", "30");
    set("tool_log", "enabled_stores", "logstore_standard");
    for run in [stack().start("configure lms"), stack().start("configure lms")] {
        Ended::of("configure lms, two concurrent runs", run).good();
    }
    assert_healthy();
    assert_eq!(
        php("echo get_config('tool_log', 'enabled_stores');"),
        "logstore_standard,logstore_xapi"
    );
}

#[test]
fn helm_test_of_moodle_passes() {
    stack().run("helm", &["test", "lms", "-n", "e2e"], "").good();
}

/// An LRS in Moodle's pod that is healthy and fails at each statement with this word: which one makes Ralph fail depends
/// on its version. It stores nothing and has no other statements.
fn lrs_that_fails_at(word: &str) -> &'static str {
    const PORT: u16 = 8099;
    php(&format!(
        "file_put_contents('/tmp/lrs.php', <<<'END'
<?php
$body = file_get_contents('php://input');
if ($_SERVER['REQUEST_METHOD'] === 'GET') {{
    echo '{{\"statements\": []}}';
}} elseif (str_contains($body, '{word}')) {{
    http_response_code(500);
    echo 'Internal Server Error';
}} else {{
    echo json_encode(array_map(fn() => '00000000-0000-4000-8000-000000000000', json_decode($body)));
}}
END);"
    ));
    let server = format!(
        "nohup php -S 127.0.0.1:{PORT} /tmp/lrs.php >/tmp/lrs.log 2>&1 & echo $! >/tmp/lrs.pid"
    );
    shell_in_moodle(stack(), &server).good();
    eventually("the LRS in the pod listens", || {
        php(&format!("echo @fsockopen('127.0.0.1', {PORT}) ? 'yes' : 'no';")) == "yes"
    });
    "http://127.0.0.1:8099/xAPI"
}

#[test]
fn replay_sends_others_when_healthy_lrs_fails_at_one_statement() {
    stop_replay_service();
    let course = format!("failing-{}", std::process::id());
    in_pod(&format!("php admin/tool/generator/cli/maketestcourse.php --shortname={course} --size=XS --bypasscheck --quiet")).good();
    emit();
    let endpoint = lrs_that_fails_at(&course);
    // the cron would send the first of the events by itself when the minute turns
    in_pod("sv down /etc/service/cron").good();
    set("logstore_xapi", "endpoint", endpoint);
    php(&format!("$DB->set_field('course', 'fullname', '{course}', ['shortname' => '{course}']);"));
    views(&course, 1);
    views("lastack-S", 3);
    emit();
    stack()
        .lastack("replay --yes")
        .exits(3)
        .shows("3 of 4 events resent")
        .shows("1 rejected by the LRS even when sent alone");
    stack().lastack("replay").good().shows("the LRS rejected them (500)");
    stack().lastack("configure lms").good();
    in_pod("sv up /etc/service/cron").good();
    stack().lastack("replay --yes --rejected").good().shows("1 of 1 events resent");
    let end = "kill $(cat /tmp/lrs.pid); rm /tmp/lrs.php /tmp/lrs.log /tmp/lrs.pid";
    shell_in_moodle(stack(), end).good();
    assert_healthy();
}
