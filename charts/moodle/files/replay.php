<?php
// Sends events again that the plugin gave up on. The plugin keeps such rows without end and sends them only when an administrator
// moves each one back in its report. Without this script, the events of every outage of the LRS would be lost.
//
// With `--auto`, every few minutes: all events that can be sent. By hand, with JSON on standard input:
// {"rejected": true} also sends events that the LRS rejected when they were sent alone.
//
// - The script uses the plugin's own code: `moveback`, then the work of its failed_task, under the lock of that task.
// - After a broken connection or an error of the LRS it is unknown whether the LRS stored the events. The plugin's statements
//   have no id, so sending them again would store them twice. The script therefore queries the LRS first.
// - The LRS rejects a whole batch because of one invalid statement, or fails with a server error although it is healthy. The
//   script sends the events of such a batch one by one. It marks an event that fails again, and does not try it any more.

require(__DIR__ . '/boot.php');

const LASTACK_BATCH = 200;

/** The plugin's store, with our batch size and an accessible configuration. */
function lastack_store(int $batch): object {
    return new class (get_log_manager(), $batch) extends \logstore_xapi\log\store {
        private int $batch;

        public function __construct(\tool_log\log\manager $manager, int $batch = LASTACK_BATCH) {
            parent::__construct($manager);
            $this->batch = $batch;
        }

        public function get_max_batch_size() {
            return $this->batch;
        }

        public function config(): array {
            return $this->get_handler_config();
        }
    };
}

/** The content of the event caused the failure, not the connection, the account or the health of the LRS. */
function lastack_is_rejection(int $errortype): bool {
    return $errortype >= 400 && $errortype < 500 && !in_array($errortype, [401, 403, 404, 407, 408, 425, 429], true);
}

/** After this failure the LRS may have stored the event nevertheless. */
function lastack_is_doubtful(int $errortype): bool {
    return $errortype === 0 || $errortype >= 500 || $errortype === 408;
}

/** Whether the LRS is healthy, so that a server error is due to the statements. */
function lastack_is_healthy(): bool {
    $lrs = lastack_store(1)->config()['loader'];
    $endpoint = \src\loader\utils\correct_endpoint($lrs['lrs_endpoint']);
    [$code] = lastack_get($lrs, preg_replace('~^(https?://[^/]+).*$~i', '$1/__heartbeat__', $endpoint));
    if ($code === 404) {
        [$code] = lastack_get($lrs, "$endpoint/statements?limit=1");
    }
    return $code === 200;
}

/** The LRS failed with a server error although it is healthy. */
function lastack_is_server_error(int $errortype): bool {
    return $errortype >= 500 && $errortype < 600 && lastack_is_healthy();
}

function lastack_why(int $errortype): string {
    return $errortype === 0 ? 'the LRS cannot be reached' : "the LRS responded with $errortype to events that were sent again";
}

/** Sends a GET request with the account of the LRS. Returns the status (0 without a response), the body and the error. */
function lastack_get(array $lrs, string $url): array {
    $request = curl_init($url);
    curl_setopt_array($request, [
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT => 30,
        CURLOPT_USERPWD => "{$lrs['lrs_username']}:{$lrs['lrs_password']}",
        CURLOPT_HTTPAUTH => CURLAUTH_BASIC,
        CURLOPT_HTTPHEADER => ['X-Experience-API-Version: 1.0.3'],
    ]);
    $body = curl_exec($request);
    return [curl_getinfo($request, CURLINFO_RESPONSE_CODE), (string)$body, curl_error($request)];
}

/** How many equal statements the LRS holds. A statement that is invalid cannot be queried either. */
function lastack_count_stored(array $lrs, array $statement): int {
    foreach ([$statement['verb']['id'] ?? '', $statement['object']['id'] ?? ''] as $iri) {
        if (!preg_match('~^[a-z][a-z0-9+.-]*:\S+$~i', $iri)) {
            return 0;
        }
    }
    $time = new DateTimeImmutable($statement['timestamp']);
    $query = http_build_query([
        'agent' => json_encode(array_diff_key($statement['actor'], ['name' => 0])),
        'verb' => $statement['verb']['id'],
        'activity' => $statement['object']['id'],
        'since' => $time->modify('-1 second')->format('Y-m-d\TH:i:s.v\Z'),
        'until' => $time->format('Y-m-d\TH:i:s.v\Z'),
        'limit' => 100,
    ]);
    [$code, $body, $error] = lastack_get($lrs, \src\loader\utils\correct_endpoint($lrs['lrs_endpoint']) . '/statements?' . $query);
    if (lastack_is_rejection($code) || lastack_is_server_error($code)) {
        return 0;
    }
    if ($code !== 200) {
        throw new Exception($code === 0 ? "the LRS cannot be reached: $error" : "the LRS responded with $code to a query for stored statements");
    }
    $same = fn($found) => strtotime($found['timestamp'] ?? '') === $time->getTimestamp();
    return count(array_filter(json_decode($body, true)['statements'] ?? [], $same));
}

/** The rows whose statements the LRS already holds. Two events in one second can produce equal statements. */
function lastack_stored_already(array $rows): array {
    global $DB;
    $config = lastack_store(LASTACK_BATCH)->config();
    $transformer = array_merge(['log_error' => $config['log_error'], 'log_info' => $config['log_info']], $config['transformer']);
    $stored = [];
    $left = [];
    // the transformer changes the rows that it receives
    foreach (\src\transformer\handler($transformer, array_map(fn($row) => clone $row, $rows)) as $at => $transformed) {
        $row = $rows[$at];
        if (!$transformed['transformed'] || !$transformed['statements']) {
            continue;
        }
        $twin = ['eventname' => $row->eventname, 'userid' => $row->userid, 'contextid' => $row->contextid, 'objectid' => $row->objectid, 'timecreated' => $row->timecreated];
        $key = json_encode($twin);
        if (!isset($left[$key])) {
            $due = $DB->count_records('logstore_standard_log', $twin) - $DB->count_records('logstore_xapi_log', $twin + ['type' => XAPI_IMPORT_TYPE_LIVE]);
            $found = min(array_map(fn($statement) => lastack_count_stored($config['loader'], $statement), $transformed['statements']));
            $left[$key] = $found === 0 ? PHP_INT_MAX : max(0, $due - $found);
        }
        if ($left[$key]-- <= 0) {
            $stored[] = $row->id;
        }
    }
    return $stored;
}

/** Marks a row of this table as sent, because the LRS holds its statement. */
function lastack_settle_as_stored(string $table, stdClass $row, stdClass $report): void {
    global $DB;
    logstore_xapi_add_event_to_sent_log((object)['logstorestandardlogid' => $row->logstorestandardlogid, 'type' => XAPI_IMPORT_TYPE_FAILED]);
    $DB->delete_records($table, ['id' => $row->id]);
    $report->already++;
}

/** Does the same as the plugin's failed_task with rows that wait for another attempt. */
function lastack_send(array $rows, int $batch): array {
    $events = lastack_store($batch)->process_events($rows, XAPI_IMPORT_TYPE_FAILED);
    logstore_xapi_store_failed_events($events);
    logstore_xapi_save_sent_events($events);
    logstore_xapi_delete_processed_events($events);
    return array_values(logstore_xapi_get_failed_events($events));
}

function lastack_rows_to_send_again(): array {
    return array_values(logstore_xapi_extract_events(0, XAPI_REPORT_SOURCE_LOG, XAPI_IMPORT_TYPE_FAILED));
}

/** Sends the rows that wait for another attempt, all of them if possible. */
function lastack_settle(array $rows, stdClass $report): void {
    global $DB;
    if (!$rows) {
        return;
    }
    $before = (int)$DB->get_field_sql('SELECT MAX(id) FROM {logstore_xapi_failed_log}');
    $failed = lastack_send($rows, LASTACK_BATCH);
    $report->sent += count($rows) - count($failed);
    $codes = array_unique(array_map(fn($event) => (int)$event->errortype, $failed));
    $codes = array_filter($codes, fn($code) => lastack_is_rejection($code) || lastack_is_server_error($code));
    $rejected = array_filter($failed, fn($event) => in_array((int)$event->errortype, $codes, true));
    $broken = array_filter($failed, fn($event) => !in_array((int)$event->errortype, [XAPI_REPORT_ERRORTYPE_TRANSFORM, ...$codes], true));
    $report->never += count($failed) - count($rejected) - count($broken);
    if ($broken) {
        throw new Exception(lastack_why((int)reset($broken)->errortype));
    }
    if (!$rejected) {
        return;
    }
    // one by one; cron can add other failed rows meanwhile
    $events = array_flip(array_map(fn($event) => (int)$event->logstorestandardlogid, $rejected));
    foreach ($DB->get_records_select('logstore_xapi_failed_log', 'id > ?', [$before], 'id') as $row) {
        if (!in_array((int)$row->errortype, $codes, true) || !isset($events[(int)$row->logstorestandardlogid])) {
            continue;
        }
        if (lastack_is_doubtful((int)$row->errortype) && lastack_stored_already([$row])) {
            lastack_settle_as_stored('logstore_xapi_failed_log', $row, $report);
            continue;
        }
        (new \logstore_xapi\log\moveback([$row->id]))->execute();
        $failed = lastack_send(lastack_rows_to_send_again(), 1);
        if (!$failed) {
            $report->sent++;
            continue;
        }
        $code = (int)$failed[0]->errortype;
        if (!lastack_is_rejection($code) && !lastack_is_server_error($code)) {
            throw new Exception(lastack_why($code));
        }
        $marked = $DB->get_field_sql('SELECT MAX(id) FROM {logstore_xapi_failed_log} WHERE logstorestandardlogid = ?', [$row->logstorestandardlogid]);
        $DB->set_field('logstore_xapi_failed_log', 'response', LASTACK_MARK . $failed[0]->response, ['id' => $marked]);
        $report->rejected++;
    }
}

$auto = in_array('--auto', $argv, true);
$asked = $auto ? new stdClass() : lastack_input();
if ($auto && (!lastack_has_plugin() || moodle_needs_upgrading())) {
    exit(0);
}
lastack_require_plugin();
require_once("$CFG->dirroot/admin/tool/log/store/xapi/src/autoload.php");

$where = 'errortype <> :never' . (empty($asked->rejected) ? ' AND (response IS NULL OR NOT ' . $DB->sql_like('response', ':mark') . ')' : '');
$params = ['never' => XAPI_REPORT_ERRORTYPE_TRANSFORM] + (empty($asked->rejected) ? ['mark' => LASTACK_MARK . '%'] : []);
$report = (object)[
    'due' => $DB->count_records_select('logstore_xapi_failed_log', $where, $params),
    'sent' => 0, 'already' => 0, 'rejected' => 0, 'never' => 0, 'stopped' => null,
];
$left_over = lastack_rows_to_send_again();
if ($report->due === 0 && !$left_over) {
    if (!$auto) {
        lastack_respond((array)$report);
    }
    exit(0);
}
$lock = \core\lock\lock_config::get_lock_factory('cron')->get_lock('\logstore_xapi\task\failed_task', $auto ? 0 : 60);
if (!$lock) {
    throw new Exception('another process is sending failed events again; try again later');
}
try {
    // rows that a killed run moved back are in doubt, with any cause
    if ($left_over) {
        $left_over = lastack_rows_to_send_again();
        $stored = lastack_stored_already($left_over);
        foreach ($left_over as $row) {
            if (in_array($row->id, $stored)) {
                lastack_settle_as_stored('logstore_xapi_log', $row, $report);
            }
        }
        lastack_settle(lastack_rows_to_send_again(), $report);
    }
    $last = 0;
    $until = (int)$DB->get_field_select('logstore_xapi_failed_log', 'MAX(id)', $where, $params);
    while ($rows = $DB->get_records_select('logstore_xapi_failed_log', "$where AND id > :last AND id <= :until", $params + ['last' => $last, 'until' => $until], 'id', '*', 0, LASTACK_BATCH)) {
        $rows = array_values($rows);
        $last = end($rows)->id;
        $doubtful = array_values(array_filter($rows, fn($row) => lastack_is_doubtful((int)$row->errortype)));
        $stored = $doubtful ? lastack_stored_already($doubtful) : [];
        $again = [];
        foreach ($rows as $row) {
            if (in_array($row->id, $stored)) {
                lastack_settle_as_stored('logstore_xapi_failed_log', $row, $report);
            } else {
                $again[] = $row->id;
            }
        }
        if ($again) {
            (new \logstore_xapi\log\moveback($again))->execute();
            lastack_settle(lastack_rows_to_send_again(), $report);
        }
    }
} catch (Exception $stop) {
    // the remaining rows stay for the next run
    $report->stopped = $stop->getMessage();
} finally {
    $lock->release();
}
lastack_respond((array)$report);
