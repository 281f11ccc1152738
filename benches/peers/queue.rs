//! The time in which Moodle's queue and Moodle's old log arrive in the data lake, beside that of generated statements.

use anyhow::{Context, Result};

use super::cluster::{Stack, wall, with_stack};
use super::measure::{self, Usage};
use super::table::Table;
use super::{Args, say};

/// Events of each measured run.
const EVENTS: u64 = 20_000;
/// The beginning of the first run, in seconds since 1970. Each run has a day of its own.
const FIRST: u64 = 1_262_304_000;
const DAY: u64 = 86_400;

/// Writes views of the test course into Moodle's log. `queue` also inserts them into the queue of the plugin.
const LOG: &str = r#"cat <<'END' | "${kubectl[@]}" exec -i deploy/lms-moodle -c moodle -- php -d max_input_vars=10000
<?php define('CLI_SCRIPT', true); require '/var/www/html/config.php';
$course = $DB->get_record('course', ['shortname' => 'lastack-S'], '*', MUST_EXIST);
$users = array_keys($DB->get_records_sql('SELECT ue.userid FROM {user_enrolments} ue JOIN {enrol} e ON e.id = ue.enrolid WHERE e.courseid = ?', [$course->id]));
for ($from = 0; $from < EVENTS; $from += 5000) {
    $rows = [];
    for ($i = $from; $i < min($from + 5000, EVENTS); $i++) {
        $rows[] = (object)['eventname' => '\core\event\course_viewed', 'component' => 'core', 'action' => 'viewed', 'target' => 'course',
            'objecttable' => null, 'objectid' => null, 'crud' => 'r', 'edulevel' => 2, 'contextid' => context_course::instance($course->id)->id,
            'contextlevel' => 50, 'contextinstanceid' => $course->id, 'userid' => $users[$i % count($users)], 'courseid' => $course->id,
            'relateduserid' => null, 'anonymous' => 0, 'other' => 'N;', 'timecreated' => BEGIN + $i, 'origin' => 'web', 'ip' => '', 'realuserid' => null];
    }
    $DB->insert_records('logstore_standard_log', $rows);
}
if (QUEUE) {
    $rows = $DB->get_records_select('logstore_standard_log', 'timecreated >= ? AND timecreated < ?', [BEGIN, BEGIN + EVENTS]);
    $DB->insert_records('logstore_xapi_log', array_map(fn($row) => (object)(['logstorestandardlogid' => $row->id, 'type' => 0] + array_diff_key((array)$row, ['id' => 0])), $rows));
}
END"#;
/// Only the measured command sends.
const STOP: &str = r#"for service in cron replay drain; do "${kubectl[@]}" exec deploy/lms-moodle -c moodle -- sv down /etc/service/$service; done"#;
const DRAIN: &str = r#""${kubectl[@]}" exec -i deploy/lms-moodle -c moodle -- php -d max_input_vars=10000 /opt/lastack/drain.php <<<'{}'"#;

pub fn measure(args: &Args, table: &mut Table) -> Result<()> {
    let Some(context) = &args.context else {
        say("left out: Moodle's queue, because --context is missing");
        return Ok(());
    };
    let how = ("`install --only lms,lrs`", &["--only", "lms,lrs"] as &[&str]);
    with_stack(args, context, how, table, |stack, table| deliveries(args, stack, table))
}

fn deliveries(args: &Args, stack: &Stack, table: &mut Table) -> Result<()> {
    measure::run(&mut stack.shell(STOP)).context("cannot stop the services of Moodle")?;
    let day = std::cell::Cell::new(0);
    let log = |queue: bool| {
        day.set(day.get() + 1);
        let begin = FIRST + day.get() * DAY;
        let script = LOG
            .replace("EVENTS", &EVENTS.to_string())
            .replace("BEGIN", &begin.to_string())
            .replace("QUEUE", &queue.to_string());
        measure::run(&mut stack.shell(&script)).context("cannot write Moodle's log")?;
        anyhow::Ok(begin)
    };
    let drain = || {
        log(true)?;
        measure::run(&mut stack.shell(DRAIN))
    };
    let seed = std::cell::Cell::new(1000);
    let send = || {
        seed.set(seed.get() + 1);
        let (count, seed) = (EVENTS.to_string(), seed.get().to_string());
        measure::run(&mut stack.lastack(&["seed", "--count", &count, "--seed", &seed]))
    };
    let [ours, theirs] = measure::in_turns(args.rounds, drain, send)?;
    let peer = ("sending as many statements with `seed`", &wall(&theirs));
    let what = format!("{EVENTS} events in Moodle's queue");
    table.compare(&what, "s", &wall(&ours), peer, "at most 1.2");

    let backfill = || {
        let begin = log(false)?;
        let time =
            |seconds: u64| jiff::Timestamp::from_second(seconds.try_into()?).context("a time");
        let (since, until) = (time(begin)?.to_string(), time(begin + DAY)?.to_string());
        let flags = ["backfill", "--yes", "--since", &since, "--until", &until];
        measure::run(&mut stack.lastack(&flags))
    };
    let filled: Vec<Usage> = (0..args.rounds).map(|_| backfill()).collect::<Result<_>>()?;
    let what = format!("`backfill` of {EVENTS} events, with verification");
    table.compare(
        &what,
        "s",
        &wall(&filled),
        ("the same in the queue", &wall(&ours)),
        "at most 1.5",
    );
    Ok(())
}
