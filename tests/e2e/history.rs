//! Events of Moodle's log that the plugin did not send: a long queue, old events, and statements that were lost.

use serde_json::Value;

use crate::cluster::{Ended, Need, eventually};
use crate::components::{data_lake, in_moodle, php_in_moodle};
use crate::stack;

/// The events of each test, in the first second of their hour and later.
const EVENTS: i64 = 2500;
const HOUR: i64 = 3600;

/// The beginning of an hour long ago, which no other test and no other run uses.
fn hour_of(test: i64) -> i64 {
    1_262_304_000 + (i64::from(std::process::id() % 10_000) * 10 + test) * HOUR
}

/// Writes events of learners into Moodle's log. Some of them are equal, as two clicks in one second are.
fn log(begin: i64) {
    php_in_moodle(
        stack(),
        &format!(
            "$course = $DB->get_record('course', ['shortname' => 'lastack-S'], '*', MUST_EXIST);
             $users = array_keys($DB->get_records_sql('SELECT ue.userid FROM {{user_enrolments}} ue JOIN {{enrol}} e ON e.id = ue.enrolid WHERE e.courseid = ?', [$course->id]));
             $rows = [];
             for ($i = 0; $i < {EVENTS}; $i++) {{
                 $at = $i < 10 ? 0 : $i;
                 $rows[] = (object)['eventname' => '\\core\\event\\course_viewed', 'component' => 'core', 'action' => 'viewed', 'target' => 'course',
                     'objecttable' => null, 'objectid' => null, 'crud' => 'r', 'edulevel' => 2, 'contextid' => context_course::instance($course->id)->id,
                     'contextlevel' => 50, 'contextinstanceid' => $course->id, 'userid' => $users[$at % count($users)], 'courseid' => $course->id,
                     'relateduserid' => null, 'anonymous' => 0, 'other' => 'N;', 'timecreated' => {begin} + $at, 'origin' => 'web', 'ip' => '', 'realuserid' => null];
             }}
             $DB->insert_records('logstore_standard_log', $rows);"
        ),
    );
}

/// The period of a test, as flags. The LRS includes the last second.
fn period(begin: i64) -> String {
    let time = |seconds| jiff::Timestamp::from_second(seconds).expect("a time");
    format!("--since {} --until {}", time(begin), time(begin + HOUR - 1))
}

/// The number of statements of a test.
fn stored(begin: i64) -> i64 {
    let query = format!(
        r#"{{"query":{{"range":{{"timestamp":{{"gte":{begin},"lt":{},"format":"epoch_second"}}}}}}}}"#,
        begin + HOUR
    );
    data_lake("lastack", "statements/_refresh -X POST", "").good();
    let count =
        data_lake("lastack", "statements/_count -HContent-Type:application/json -d @-", &query);
    count.good().json()["count"].as_i64().expect("a count")
}

#[test]
fn backfill_sends_old_events_once_although_it_is_killed() {
    let begin = hour_of(1);
    log(begin);
    php_in_moodle(
        stack(),
        &format!(
            "$row = $DB->get_record_sql('SELECT * FROM {{logstore_standard_log}} WHERE timecreated = ?', [{begin} + 20]);
             foreach ([['userid' => 0], ['eventname' => '\\core\\event\\unheard_of'], ['courseid' => 99999]] as $at => $other) {{
                 $DB->insert_record('logstore_standard_log', (object)($other + ['timecreated' => {begin} + 3000 + $at] + array_diff_key((array)$row, ['id' => 0])));
             }}"
        ),
    );
    let period = period(begin);
    stack()
        .lastack(&format!("backfill --dry-run {period}"))
        .good()
        .shows("2,500    never sent")
        .shows("1        without a user")
        .shows("1        of kinds that the plugin does not send")
        .shows("1        of deleted courses");
    let mut killed = stack().start(&format!("backfill --yes {period}"));
    eventually("some events are stored", || stored(begin) > 0);
    killed.kill().expect("SIGKILL");
    killed.wait().expect("its end");
    in_moodle(stack(), "pkill -9 -f history.php");
    // two at once
    let other = stack().start(&format!("backfill --yes {period}"));
    stack().lastack(&format!("backfill --yes {period}"));
    Ended::of("backfill", other);
    eventually("the events in doubt are settled", || {
        let left = stack().lastack(&format!("backfill --dry-run {period} -o json")).good().json();
        left["before"]["sent"] == EVENTS
    });
    assert_eq!(stored(begin), EVENTS, "each event should be stored once");
    stack().lastack(&format!("backfill --yes {period}")).good().shows("No events to send");
    assert_eq!(stored(begin), EVENTS);

    stack().lastack(&format!("reconcile {period}")).good().shows("2,500 sent and stored");
    let lost = stack().lastack(&format!("statements --limit 2 -o json {period}")).good().json();
    for statement in lost["items"].as_array().expect("statements") {
        let id = statement["id"].as_str().expect("an id");
        stack().lastack(&format!("statements delete --yes {id}")).good();
    }
    stack().lastack(&format!("reconcile {period}")).exits(3).shows("2 lost after they were sent");
    stack()
        .lastack(&format!("reconcile --fix {period}"))
        .good()
        .shows(r"2 of 2 events \core\event\course_viewed lost");
    assert_eq!(stored(begin), EVENTS, "only the lost statements should be sent again");
    let since = jiff::Timestamp::from_second(begin).expect("a time");
    let coverage = stack().lastack(&format!("coverage -o json --since {since}")).good().json();
    let viewed = |one: &&Value| one["event"] == r"\core\event\course_viewed";
    let viewed = coverage["events"].as_array().expect("events").iter().find(viewed);
    let viewed = viewed.expect("views of courses");
    assert_eq!(viewed["delivery"], "sent");
    assert_eq!(viewed["verbs"][0], "http://id.tincanapi.com/verb/viewed");
}

#[test]
fn events_wait_while_the_index_accepts_no_writes() {
    let begin = hour_of(3);
    log(begin);
    let period = period(begin);
    let block = |on: bool| {
        let settings = format!(r#"{{"index.blocks.write":{on}}}"#);
        let path = "statements/_settings -X PUT -H Content-Type:application/json -d @-";
        data_lake("lastack", path, &settings).good();
    };
    block(true);
    stack()
        .lastack(&format!("backfill --yes {period}"))
        .exits(1)
        .shows("the LRS responded with 500");
    block(false);
    stack()
        .lastack(&format!("reconcile --fix {period}"))
        .good()
        .shows("2,500 sent and stored")
        .never_shows("rejected by the LRS");
    assert_eq!(stored(begin), EVENTS, "each event should be stored once");
}

#[test]
fn long_queue_is_sent_at_once_and_each_event_once() {
    if Need::Contract.is_missing() {
        return;
    }
    let begin = hour_of(2);
    // otherwise cron sends a part of them
    in_moodle(stack(), "sv down /etc/service/cron").good();
    log(begin);
    let waiting = || {
        let count = format!(
            "echo $DB->count_records_select('logstore_xapi_log', 'timecreated >= ? AND timecreated < ?', [{begin}, {begin} + {HOUR}]);"
        );
        php_in_moodle(stack(), &count).trim().parse::<i64>().expect("a number")
    };
    php_in_moodle(
        stack(),
        &format!(
            "$rows = $DB->get_records_select('logstore_standard_log', 'timecreated >= ? AND timecreated < ?', [{begin}, {begin} + {HOUR}]);
             $DB->insert_records('logstore_xapi_log', array_map(fn($row) => (object)(['logstorestandardlogid' => $row->id, 'type' => 0] + array_diff_key((array)$row, ['id' => 0])), $rows));"
        ),
    );
    eventually("the first events are sent", || waiting() < EVENTS);
    in_moodle(stack(), "pkill -9 -f drain.php");
    in_moodle(stack(), "sv up /etc/service/cron").good();
    eventually("no event waits", || waiting() == 0);
    assert_eq!(stored(begin), EVENTS, "each event should be stored once");
}
