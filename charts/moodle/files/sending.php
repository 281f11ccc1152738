<?php
// Sends rows of the plugin's queue with the plugin's own code, and knows what the LRS has stored. For scripts that hold the lock of
// the task that would send them.
//
// Rows of the type "failed" are in doubt: a killed process may have sent them. They are compared with the LRS before they are sent
// again, because the plugin's statements have no id.

require_once(__DIR__ . '/boot.php');

/** Statements per request: as many as the LRS writes at once. */
const LASTACK_BATCH = 500;
/** After this number of server errors in a row, the events are not the cause. */
const LASTACK_FAILURES = 3;

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
            $config = $this->get_handler_config();
            $config['transformer']['repo'] = new \src\transformer\repos\MoodleRepository(lastack_cached_database());
            return $config;
        }
    };
}

/** The database for one batch: it reads a user or a course once, and not for each event. */
function lastack_cached_database(): object {
    return new class {
        private array $read = [];

        public function __call(string $name, array $arguments) {
            global $DB;
            if (!in_array($name, ['get_record', 'get_records', 'get_record_sql', 'get_records_sql', 'get_field'], true)) {
                return $DB->$name(...$arguments);
            }
            $key = $name . json_encode($arguments);
            if (!array_key_exists($key, $this->read)) {
                $this->read[$key] = $DB->$name(...$arguments);
            }
            $found = $this->read[$key];
            // the plugin may change what it reads
            return is_array($found) ? array_map(fn($one) => is_object($one) ? clone $one : $one, $found) : (is_object($found) ? clone $found : $found);
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

/**
 * Does the same as the plugin's failed_task with rows that wait for another attempt: creates and sends statements with its handler, and
 * records the results in its tables. The rows have the numbers that the plugin would query for each of them.
 */
function lastack_send(array $rows, int $batch): array {
    global $DB;
    $store = lastack_store($batch);
    $has_numbers = !array_filter($rows, fn($row) => empty($row->logstorestandardlogid));
    $events = $has_numbers ? \src\handler($store->config(), $rows) : $store->process_events($rows, XAPI_IMPORT_TYPE_FAILED);
    $transaction = $DB->start_delegated_transaction();
    logstore_xapi_store_failed_events($events);
    lastack_record_as_sent(logstore_xapi_get_successful_events($events));
    logstore_xapi_delete_processed_events($events);
    $transaction->allow_commit();
    return array_values(logstore_xapi_get_failed_events($events));
}

/** Adds a row to the sent log for each number, as the plugin does event by event. */
function lastack_record_as_sent(array $events): void {
    global $DB;
    $numbers = array_values(array_unique(array_map(fn($event) => (int)$event->logstorestandardlogid, $events)));
    $known = lastack_known('logstore_xapi_sent_log', $numbers);
    $new = array_filter($numbers, fn($number) => !isset($known[$number]));
    $row = fn($number) => (object)['logstorestandardlogid' => $number, 'type' => XAPI_IMPORT_TYPE_FAILED, 'timecreated' => time()];
    $DB->insert_records('logstore_xapi_sent_log', array_map($row, array_values($new)));
}

/** The numbers of these events that a table of the plugin has. */
function lastack_known(string $table, array $events, string $select = ''): array {
    global $DB;
    if (!$events) {
        return [];
    }
    [$in, $params] = $DB->get_in_or_equal($events);
    return array_flip($DB->get_fieldset_select($table, 'logstorestandardlogid', "logstorestandardlogid $in $select", $params));
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
    $failures = [];
    $accepts = false;
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
            $accepts = true;
            continue;
        }
        $code = (int)$failed[0]->errortype;
        if (!lastack_is_rejection($code) && !lastack_is_server_error($code)) {
            throw new Exception(lastack_why($code));
        }
        $failures[] = $failed[0];
        // an index that accepts no writes gives the same error as one statement that cannot be stored
        if (!$accepts && lastack_is_server_error($code) && count($failures) >= LASTACK_FAILURES) {
            throw new Exception("the LRS responded with $code to each event that was sent alone");
        }
    }
    foreach ($failures as $event) {
        $marked = $DB->get_field_sql('SELECT MAX(id) FROM {logstore_xapi_failed_log} WHERE logstorestandardlogid = ?', [$event->logstorestandardlogid]);
        $DB->set_field('logstore_xapi_failed_log', 'response', LASTACK_MARK . $event->response, ['id' => $marked]);
        $report->rejected++;
    }
}

/** A report of [`lastack_settle`], in numbers of events. */
function lastack_report(): stdClass {
    return (object)['sent' => 0, 'already' => 0, 'rejected' => 0, 'never' => 0, 'stopped' => null];
}

/** Settles rows that a killed process may have sent, with any cause. */
function lastack_settle_doubtful(stdClass $report): void {
    $rows = lastack_rows_to_send_again();
    $stored = $rows ? array_flip(lastack_stored_already($rows)) : [];
    foreach ($rows as $row) {
        if (isset($stored[$row->id])) {
            lastack_settle_as_stored('logstore_xapi_log', $row, $report);
        }
    }
    lastack_settle(lastack_rows_to_send_again(), $report);
}

/** Marks rows as being sent, so that they are in doubt if this process is killed. */
function lastack_mark_as_sending(array $ids): void {
    global $DB;
    [$in, $params] = $DB->get_in_or_equal($ids);
    $DB->set_field_select('logstore_xapi_log', 'type', XAPI_IMPORT_TYPE_FAILED, "id $in", $params);
}

/** The locks of these tasks of the plugin. Empty: another process holds one of them. */
function lastack_locks(array $tasks, int $seconds = 0): array {
    $factory = \core\lock\lock_config::get_lock_factory('cron');
    $locks = [];
    foreach ($tasks as $task) {
        $lock = $factory->get_lock("\\logstore_xapi\\task\\$task", $seconds);
        if (!$lock) {
            lastack_release($locks);
            return [];
        }
        $locks[] = $lock;
    }
    return $locks;
}

function lastack_release(array $locks): void {
    foreach ($locks as $lock) {
        $lock->release();
    }
}

/** Loads the code of the plugin. With `--auto`, a site without the plugin or during an upgrade is no error. */
function lastack_begin_sending(): void {
    global $CFG, $argv;
    if (in_array('--auto', $argv, true) && (!lastack_has_plugin() || moodle_needs_upgrading())) {
        exit(0);
    }
    lastack_require_plugin();
    require_once("$CFG->dirroot/admin/tool/log/store/xapi/src/autoload.php");
}
