<?php
// Sends waiting events as fast as the LRS stores them. The plugin sends one batch a minute, which is less than a busy site creates.
//
// - With `--auto` it starts when more than one batch waits. It sends batch after batch until no event waits, under the locks of the
//   plugin's tasks. Every few seconds others can take the locks.
// - Rows are marked as "failed" before they are sent. A killed run leaves them in doubt, and the next one compares them with the LRS.
// - It does nothing while the LRS is not healthy, and ends with the first batch that cannot be sent.

require(__DIR__ . '/sending.php');

/** After this time, in seconds, another process may take the locks. */
const LASTACK_TURN = 10;
/** Longer than others wait between two attempts to take a lock, in microseconds. */
const LASTACK_PAUSE = 500000;

lastack_begin_sending();
$auto = in_array('--auto', $argv, true);
$batch = max(1, (int)(new \logstore_xapi\log\store(get_log_manager()))->get_max_batch_size());
$waiting = ['type' => XAPI_IMPORT_TYPE_LIVE];
$report = lastack_report();
$is_due = $DB->count_records('logstore_xapi_log', $waiting) > $batch
    || $DB->record_exists('logstore_xapi_log', ['type' => XAPI_IMPORT_TYPE_FAILED]);
if ($auto && !($is_due && lastack_is_healthy())) {
    exit(0);
}
try {
    do {
        $locks = lastack_locks(['emit_task', 'failed_task'], $auto ? 15 : 60);
        if (!$locks) {
            throw new Exception('another process is sending events; try again later');
        }
        try {
            lastack_settle_doubtful($report);
            $until = time() + LASTACK_TURN;
            do {
                $rows = array_keys($DB->get_records('logstore_xapi_log', $waiting, 'id', 'id', 0, LASTACK_BATCH));
                if ($rows) {
                    lastack_mark_as_sending($rows);
                    lastack_settle(lastack_rows_to_send_again(), $report);
                }
            } while ($rows && time() < $until);
        } finally {
            lastack_release($locks);
        }
        usleep(LASTACK_PAUSE);
    } while ($rows);
} catch (Exception $stop) {
    // the remaining rows stay for the next run
    $report->stopped = $stop->getMessage();
}
lastack_respond((array)$report);
