//! Moodle, wired: from a learner's click to a statement, and every way in which that can break.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::cluster::{Ended, Need, eventually};
use crate::parts::{data_lake, in_moodle, php_in_moodle};
use crate::stack;

fn php(code: &str) -> String {
    php_in_moodle(stack(), code)
}

/// What somebody does in Moodle's administration.
fn set(plugin: &str, name: &str, value: &str) {
    php(&format!("set_config('{name}', '{value}', '{plugin}');"));
}

fn in_pod(command: &str) -> Ended {
    in_moodle(stack(), command)
}

/// Sends what waits now, as the cron does within a minute. Moodle gives up after ten seconds in which the cron itself is at it, and on a busy
/// machine that takes longer.
pub fn emit() {
    eventually("the cron has let go of the task", || {
        let ended =
            in_pod(r"php admin/cli/scheduled_task.php --execute=\logstore_xapi\task\emit_task");
        let is_held = ended.stdout.contains("Cannot obtain task lock");
        if !is_held {
            ended.good();
        }
        !is_held
    });
}

/// Runs a command, and does something each time that it says this.
fn when_it_says(line: &str, what: &str, then: impl Fn()) -> Ended {
    let mut command = stack().start(line);
    let mut stderr = String::new();
    for told in BufReader::new(command.stderr.take().expect("a pipe"))
        .lines()
        .map(|told| told.expect("text"))
    {
        if told.contains(what) {
            then();
        }
        stderr += &format!("{told}\n");
    }
    Ended { stderr, ..Ended::of(line, command) }
}

/// Follows an event, and tells Moodle's cron that its task is due when only that is waited for, so that nobody waits for the full minute.
pub fn trace(flags: &str) -> Ended {
    when_it_says(&format!("trace {flags}"), "waiting for cron, which sends once per minute", is_due)
}

/// Lets the cron, which looks every second, run the task that sends.
fn is_due() {
    php(
        r"$DB->set_field('task_scheduled', 'nextruntime', 0, ['classname' => '\logstore_xapi\task\emit_task']);",
    );
}

/// What the stack sends again by itself, every few minutes, is left to the tests, until one wants it back.
fn nothing_is_sent_again_by_itself() {
    in_pod("sv down /etc/service/replay").good();
}

/// Lets the last learners of a course, as many as this, view it (the first is the one of `trace`); gives the second in which they began.
fn views(course: &str, learners: usize) -> i64 {
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

/// Who viewed the course since then, by the LRS, one entry a statement.
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
fn each_once(course: &str, since: i64, learners: usize) {
    // what Ralph took is found a second later
    data_lake("lastack", "statements/_refresh -X POST", "").good();
    let viewers = viewers(course, since);
    let different: BTreeSet<&String> = viewers.iter().collect();
    assert_eq!(
        (different.len(), viewers.len()),
        (learners, learners),
        "each learner's view should be stored, and once: {viewers:?}"
    );
}

fn is_well() {
    stack().lastack("status").good().shows("events, 0 waiting");
}

#[test]
fn an_event_is_followed_to_the_data_lake_and_its_traces_are_taken_away() {
    let trace = trace("-o json").good().json();
    assert_eq!(trace["arrived"], true, "{trace}");
    assert_eq!(trace["hops"].as_array().unwrap().len(), 5);
    let id = trace["hops"][3]["detail"].as_str().unwrap().trim_start_matches("statement ");
    let counted =
        data_lake("lastack", &format!("statements/_count?q=_id:%22{id}%22"), "").good().json();
    assert_eq!(counted["count"], 0, "the very next look at the data lake does not count it");
}

#[test]
fn a_click_of_a_learner_in_the_browser_is_a_statement_within_two_runs_of_the_cron() {
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
    // two rounds of the cron, and no more, are waited for: a trace ends when the cron has sent what came before
    trace("").good();
    let user = php(&format!(
        "echo $DB->get_field('user', 'id', ['username' => {}]);",
        learner["user"].to_string().replace('"', "'")
    ));
    assert!(viewers("lastack-S", began).contains(&user), "learner {user} viewed the course");
}

#[test]
fn a_setting_that_somebody_changed_is_named_and_brought_back() {
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
        is_well();
    }
    let stores = php("echo get_config('tool_log', 'enabled_stores');");
    assert_eq!(
        stores, "logstore_standard,logstore_legacy,logstore_xapi",
        "another store must not be lost"
    );
    set("tool_log", "enabled_stores", "logstore_standard,logstore_xapi");
}

#[test]
fn a_wrong_password_stops_the_event_at_the_lrs_and_nothing_is_lost_by_it() {
    nothing_is_sent_again_by_itself();
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
    is_well();
    each_once("lastack-S", began, 3);
}

#[test]
fn an_endpoint_that_is_wrong_stops_the_event_and_is_named() {
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
        is_well();
    }
}

#[test]
fn an_lrs_that_was_away_gets_every_event_and_none_twice() {
    nothing_is_sent_again_by_itself();
    stack().kubectl("scale deployment lrs-ralph --replicas=0");
    stack().kubectl("wait --for=delete pod -l app.kubernetes.io/instance=lrs --timeout=60s");
    let began = views("lastack-S", 20);
    emit();
    stack().lastack("status").exits(3).shows("20 not delivered: the LRS could not be reached");
    stack().lastack("replay --yes").exits(3).shows("stopped early: the LRS cannot be reached");
    stack().kubectl("scale deployment lrs-ralph --replicas=1");
    stack().kubectl("rollout status deployment/lrs-ralph --timeout=120s");
    // its Service leads to the new pod a moment after that is ready
    let is_reached = "echo @fsockopen('lrs-ralph', 80) ? 'yes' : 'no';";
    eventually("Moodle reaches the LRS", || php(is_reached) == "yes");
    stack().lastack("replay --dry-run").good().shows("20 events would be resent");
    stack().lastack("replay --yes").good().shows("20 of 20 events resent, 0 already stored");
    each_once("lastack-S", began, 20);

    // the LRS stored them, and its answer was lost
    php(&format!(
        "foreach ($DB->get_records_select('logstore_standard_log', 'timecreated >= ? AND eventname = ?', [{began}, '\\core\\event\\course_viewed']) as $row) {{
             $row->logstorestandardlogid = $row->id; $row->type = 0; $row->errortype = 500; $row->response = 'lost';
             $DB->insert_record('logstore_xapi_failed_log', $row);
         }}"
    ));
    stack().lastack("replay --yes").good().shows("0 of 20 events resent, 20 already stored");
    each_once("lastack-S", began, 20);
    is_well();
}

#[test]
fn the_stack_brings_lost_events_back_by_itself() {
    // an earlier test may have stopped it
    in_pod("sv up /etc/service/replay").good();
    set("logstore_xapi", "password", "guessed");
    let began = views("lastack-S", 5);
    emit();
    stack().lastack("status").exits(3).shows("5 not delivered");
    stack().lastack("configure lms").good();
    eventually("what was lost is sent again without being asked for", || {
        // the minutes are over for which it waits between two looks
        in_pod("pkill -f sleep.300");
        !stack().lastack("status").stdout.contains("not delivered")
    });
    each_once("lastack-S", began, 5);
}

#[test]
fn one_statement_that_the_lrs_refuses_does_not_keep_the_others_out() {
    nothing_is_sent_again_by_itself();
    let course = format!("refused-{}", std::process::id());
    let rename = |name: &str| {
        php(&format!("$DB->set_field('course', 'fullname', {name}, ['shortname' => '{course}']);"))
    };
    in_pod(&format!("php admin/tool/generator/cli/maketestcourse.php --shortname={course} --size=XS --bypasscheck --quiet")).good();
    emit();
    // the cron would send the first of the events by itself when the minute turns
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
    each_once("lastack-S", began, 3);
    stack().lastack("status").good().shows("1 rejected by the LRS");
    stack().lastack("replay").good().shows("with --refused").shows("No events to resend");
    rename("'Refused no longer'");
    stack().lastack("replay --yes --refused").good().shows("1 of 1 events resent");
    each_once(&course, began, 1);
}

#[test]
fn a_cron_that_stands_still_is_named() {
    in_pod("sv down /etc/service/cron").good();
    php(
        "$DB->set_field('task_scheduled', 'lastruntime', time() - 900, ['classname' => '\\logstore_xapi\\task\\emit_task']);",
    );
    stack().lastack("status").exits(3).shows("Moodle's cron last sent events 15m ago");
    stack()
        .lastack("trace --timeout 2s")
        .exits(3)
        .shows("stopped: moodle.sent: Moodle's cron last sent events 15m ago");
    let comes_back = || {
        is_due();
        in_pod("sv up /etc/service/cron").good();
    };
    when_it_says("install", "Moodle's cron last sent events 15m ago", comes_back)
        .good()
        .shows("ok        lms.cron");
    is_well();
}

#[test]
fn two_at_once_configure_moodle_as_one_does() {
    set("logstore_xapi", "maxbatchsize", "30");
    set("tool_log", "enabled_stores", "logstore_standard");
    for run in [stack().start("configure lms"), stack().start("configure lms")] {
        Ended::of("configure lms, twice at once", run).good();
    }
    is_well();
    assert_eq!(
        php("echo get_config('tool_log', 'enabled_stores');"),
        "logstore_standard,logstore_xapi"
    );
}

#[test]
fn a_chart_test_of_moodle_passes() {
    stack().run("helm", &["test", "lms", "-n", "e2e"], "").good();
}
