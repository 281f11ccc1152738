<?php
// Functions that the tasks share: they read rows and record results.
defined('MOODLE_INTERNAL') || die();

define('XAPI_REPORT_ID_ERROR', 0);
define('XAPI_REPORT_ID_HISTORIC', 1);
define('XAPI_IMPORT_TYPE_LIVE', 0);
define('XAPI_IMPORT_TYPE_HISTORIC', 1);
define('XAPI_IMPORT_TYPE_FAILED', 2);
define('XAPI_REPORT_SOURCE_LOG', 'logstore_xapi_log');
define('XAPI_REPORT_SOURCE_FAILED', 'logstore_xapi_failed_log');
define('XAPI_REPORT_SOURCE_HISTORICAL', 'logstore_standard_log');
define('XAPI_REPORT_ERRORTYPE_NETWORK', 101);
define('XAPI_REPORT_ERRORTYPE_RECIPE', 400);
define('XAPI_REPORT_ERRORTYPE_AUTH', 401);
define('XAPI_REPORT_ERRORTYPE_LRS', 500);
define('XAPI_REPORT_ERRORTYPE_TRANSFORM', 10000);

function logstore_xapi_extract_events($limitnum, $log, $type) {
    global $DB;
    return $DB->get_records($log, ['type' => $type], '', '*', 0, $limitnum);
}

function logstore_xapi_events_where(array $loadedevents, bool $loaded) {
    return array_map(fn($result) => $result['event'], array_filter($loadedevents, fn($result) => $result['loaded'] === $loaded));
}
function logstore_xapi_get_successful_events($events) { return logstore_xapi_events_where($events, true); }
function logstore_xapi_get_failed_events($events) { return logstore_xapi_events_where($events, false); }
function logstore_xapi_get_event_ids($loadedevents) { return array_map(fn($result) => $result['event']->id, $loadedevents); }

function logstore_xapi_store_failed_events($events) {
    global $DB;
    $failed = logstore_xapi_get_failed_events($events);
    $DB->insert_records('logstore_xapi_failed_log', $failed);
    mtrace(count($failed) . ' ' . get_string('failed_events', 'logstore_xapi'));
}
function logstore_xapi_record_successful_events($events) {
    mtrace(count(logstore_xapi_get_successful_events($events)) . ' ' . get_string('successful_events', 'logstore_xapi'));
}
// Adds one row for each row of the standard log, so events that share a row count once.
function logstore_xapi_add_event_to_sent_log($event) {
    global $DB;
    if ($DB->get_record('logstore_xapi_sent_log', ['logstorestandardlogid' => $event->logstorestandardlogid])) return;
    $DB->insert_record('logstore_xapi_sent_log', (object)['logstorestandardlogid' => $event->logstorestandardlogid, 'type' => $event->type, 'timecreated' => time()]);
}
function logstore_xapi_save_sent_events(array $events) {
    foreach (logstore_xapi_get_successful_events($events) as $event) logstore_xapi_add_event_to_sent_log($event);
}
function logstore_xapi_delete_processed_events($events) {
    global $DB;
    $DB->delete_records_list('logstore_xapi_log', 'id', logstore_xapi_get_event_ids($events));
}
function logstore_xapi_get_event_names_array() {
    require_once(__DIR__ . '/src/transformer/get_event_function_map.php');
    $names = array_keys(\src\transformer\get_event_function_map());
    return array_combine($names, $names);
}
function logstore_xapi_get_type_from_table($table) {
    return [XAPI_REPORT_SOURCE_FAILED => XAPI_IMPORT_TYPE_FAILED, XAPI_REPORT_SOURCE_HISTORICAL => XAPI_IMPORT_TYPE_HISTORIC][$table] ?? XAPI_IMPORT_TYPE_LIVE;
}
function logstore_xapi_decode_response($response) {
    $decoded = json_decode((string)$response, true);
    return json_last_error() === JSON_ERROR_NONE ? $decoded : false;
}
