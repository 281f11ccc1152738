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

require(__DIR__ . '/sending.php');

$auto = in_array('--auto', $argv, true);
$asked = $auto ? new stdClass() : lastack_input();
lastack_begin_sending();

$where = 'errortype <> :never' . (empty($asked->rejected) ? ' AND (response IS NULL OR NOT ' . $DB->sql_like('response', ':mark') . ')' : '');
$params = ['never' => XAPI_REPORT_ERRORTYPE_TRANSFORM] + (empty($asked->rejected) ? ['mark' => LASTACK_MARK . '%'] : []);
$report = lastack_report();
$report->due = $DB->count_records_select('logstore_xapi_failed_log', $where, $params);
$left_over = lastack_rows_to_send_again();
if ($report->due === 0 && !$left_over) {
    if (!$auto) {
        lastack_respond((array)$report);
    }
    exit(0);
}
$locks = lastack_locks(['failed_task'], $auto ? 0 : 60);
if (!$locks) {
    throw new Exception('another process is sending failed events again; try again later');
}
try {
    lastack_settle_doubtful($report);
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
    lastack_release($locks);
}
lastack_respond((array)$report);
