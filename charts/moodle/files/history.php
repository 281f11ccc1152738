<?php
// Compares Moodle's own log with what the plugin sent, and sends what is missing. The log also has the events from before the plugin.
//
// Input {"do": "count" | "send", "since": seconds, "until": seconds, "course": short name or null}.
// - "count" returns the numbers of rows by event and state, with "hours": true also by hour.
// - "send" sends missing events, for "seconds" of time. With "lost": EVENT, it compares the sent events of this kind with the LRS, and
//   sends those that the LRS does not have. It returns the numbers of sent events, and "next", the time to continue at, or null.
// - {"do": "kinds"} returns the kinds of events that the plugin knows, and those that it sends.
//
// - The plugin gives rows of the log that differ only in their id the same number, the greatest of their ids. A "second" of the
//   log is therefore never divided, and a row has the state of that number.
// - "send" inserts the missing events of some rows into the plugin's queue and sends them, under the lock of the plugin's failed_task. A
//   killed run leaves them in doubt there: the next one, or the replay, compares them with the LRS.

require(__DIR__ . '/sending.php');

/** Rows of the log that are read at once. */
const LASTACK_SLICE = 5000;
/** The log and the queue get an event at different moments, so events of the last seconds are not compared. */
const LASTACK_SETTLED = 300;
/** Events that are inserted into the queue at once. */
const LASTACK_INSERTED = 1000;

/** What makes two rows of the log one event for the plugin. */
const LASTACK_TWINS = 'eventname, component, action, target, objecttable, objectid, timecreated, userid, anonymous';

/** The next rows of the log, and the time that the rows after them begin at, or null. */
function lastack_next_rows(stdClass $asked, int $since): array {
    global $DB;
    $where = 'timecreated >= :since AND timecreated < :until';
    $params = ['since' => $since, 'until' => $asked->until];
    if ($asked->course !== null) {
        $where .= ' AND courseid = :course';
        $params['course'] = $asked->course;
    }
    $ends = $DB->get_records_sql("SELECT id, timecreated FROM {logstore_standard_log} WHERE $where ORDER BY timecreated, id", $params, LASTACK_SLICE, 1);
    $next = $ends ? max((int)reset($ends)->timecreated, $since + 1) : null;
    $rows = $DB->get_records_sql(
        'SELECT id, eventname, userid, courseid, timecreated, MAX(id) OVER (PARTITION BY ' . LASTACK_TWINS . ") AS event
           FROM {logstore_standard_log} WHERE $where ORDER BY timecreated, id",
        ['until' => $next ?? $asked->until] + $params
    );
    return [$rows, $next];
}

/** Why the plugin makes no statement of a row, or null. */
function lastack_obstacle(stdClass $row, array $routes, array $courses, bool $guests): ?string {
    global $CFG;
    return match (true) {
        !isset($routes[$row->eventname]) => 'unrouted',
        (int)$row->userid <= 0 => 'anonymous',
        !$guests && (int)$row->userid === (int)$CFG->siteguest => 'guest',
        (int)$row->courseid > 0 && !isset($courses[$row->courseid]) => 'courseDeleted',
        default => null,
    };
}

/** Gives each row its state: an obstacle, `sent`, `waiting`, `failed`, `notConvertible` or `missing`. */
function lastack_classify(array $rows): void {
    global $DB;
    static $routes, $courses, $guests;
    $routes ??= array_flip(explode(',', (string)get_config(LASTACK_PLUGIN, 'routes')));
    $courses ??= $DB->get_records_menu('course', null, '', 'id, id AS same');
    $guests ??= (bool)get_config(LASTACK_PLUGIN, 'logguests');
    $events = array_values(array_unique(array_map(fn($row) => $row->event, $rows)));
    $sent = lastack_known('logstore_xapi_sent_log', $events);
    $waiting = lastack_known('logstore_xapi_log', $events);
    $never = lastack_known('logstore_xapi_failed_log', $events, 'AND errortype = ' . XAPI_REPORT_ERRORTYPE_TRANSFORM);
    $failed = lastack_known('logstore_xapi_failed_log', $events);
    foreach ($rows as $row) {
        $row->state = match (true) {
            isset($waiting[$row->event]) => 'waiting',
            isset($sent[$row->event]) => 'sent',
            isset($never[$row->event]) => 'notConvertible',
            isset($failed[$row->event]) => 'failed',
            default => lastack_obstacle($row, $routes, $courses, $guests) ?? 'missing',
        };
    }
}

function lastack_count(stdClass $asked): array {
    $counted = [];
    $next = $asked->since;
    while ($next !== null) {
        [$rows, $next] = lastack_next_rows($asked, $next);
        lastack_classify($rows);
        foreach ($rows as $row) {
            $hour = empty($asked->hours) ? 0 : intdiv((int)$row->timecreated, HOURSECS) * HOURSECS;
            $group = &$counted["$hour $row->eventname"];
            $group ??= ['event' => $row->eventname, 'hour' => $hour, 'newest' => 0, 'states' => []];
            $group['newest'] = max($group['newest'], (int)$row->timecreated);
            $group['states'][$row->state] = ($group['states'][$row->state] ?? 0) + 1;
            unset($group);
        }
    }
    return ['counted' => array_values($counted)];
}

/** Inserts rows of the log into the queue. They are in doubt until they are sent. */
function lastack_insert(array $events): void {
    global $DB;
    $names = array_keys($DB->get_columns('logstore_xapi_log'));
    $rows = [];
    foreach ($DB->get_records_list('logstore_standard_log', 'id', array_keys($events), 'id') as $row) {
        $row->logstorestandardlogid = $events[$row->id];
        $row->type = XAPI_IMPORT_TYPE_FAILED;
        $rows[] = (object)array_diff_key(array_intersect_key((array)$row, array_flip($names)), ['id' => 0]);
    }
    $DB->insert_records('logstore_xapi_log', $rows);
}

function lastack_send_missing(stdClass $asked): array {
    global $DB;
    $report = lastack_report();
    $report->next = $asked->since;
    $until = time() + (int)($asked->seconds ?? 10);
    $locks = lastack_locks(['failed_task'], 60);
    if (!$locks) {
        throw new Exception('another process is sending events; try again later');
    }
    try {
        if (!lastack_is_healthy()) {
            throw new Exception('the LRS is not healthy');
        }
        lastack_settle_doubtful($report);
        do {
            [$rows, $next] = lastack_next_rows($asked, $report->next);
            lastack_classify($rows);
            $lost = $asked->lost ?? null;
            $missing = array_filter($rows, fn($row) => $lost === null ? $row->state === 'missing' : $row->state === 'sent' && $row->eventname === $lost);
            foreach (array_chunk(array_map(fn($row) => $row->event, $missing), LASTACK_INSERTED, true) as $events) {
                $transaction = $DB->start_delegated_transaction();
                lastack_insert($events);
                $transaction->allow_commit();
                if ($lost === null) {
                    lastack_settle(lastack_rows_to_send_again(), $report);
                } else {
                    lastack_settle_doubtful($report);
                }
            }
            $report->next = $next;
        } while ($next !== null && time() < $until);
    } catch (Exception $stop) {
        $report->stopped = $stop->getMessage();
    } finally {
        lastack_release($locks);
    }
    return (array)$report;
}

function lastack_kinds(): array {
    return [
        'known' => array_values(logstore_xapi_get_event_names_array()),
        'sent' => array_values(array_filter(array_map('trim', explode(',', (string)get_config(LASTACK_PLUGIN, 'routes'))))),
    ];
}

$asked = lastack_input();
lastack_begin_sending();
if ($asked->do === 'kinds') {
    lastack_respond(lastack_kinds());
    exit(0);
}
$asked->until = min($asked->until, time() - LASTACK_SETTLED);
if (($asked->course ?? null) !== null) {
    $course = $DB->get_record('course', ['shortname' => $asked->course]);
    if (!$course) {
        throw new Exception("there is no course with the short name $asked->course");
    }
    $asked->course = (int)$course->id;
}
if (!$DB->get_manager()->table_exists('logstore_standard_log')) {
    throw new Exception("Moodle's own log store is not installed");
}
lastack_respond($asked->do === 'send' ? lastack_send_missing($asked) : lastack_count($asked));
