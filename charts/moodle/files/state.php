<?php
// Prints the state of Moodle and the plugin: versions, settings, log stores, cron, waiting and failed events. Changes nothing.
// The password of the LRS account is included only as its SHA-256.

require(__DIR__ . '/boot.php');

/** Events that the plugin gave up on, by cause. */
function lastack_failed(): array {
    global $DB;
    $rows = $DB->get_records_sql(
        'SELECT MAX(id) AS newest, errortype, alone, COUNT(*) AS events, MIN(timecreated) AS oldest
           FROM (SELECT id, errortype, timecreated, CASE WHEN ' . $DB->sql_like('response', '?') . ' THEN 1 ELSE 0 END AS alone
                   FROM {logstore_xapi_failed_log}) f
       GROUP BY errortype, alone', [LASTACK_MARK . '%']
    );
    return array_map(fn($row) => [
        'errortype' => (int)$row->errortype,
        'alone' => (bool)$row->alone,
        'events' => (int)$row->events,
        'oldest' => (int)$row->oldest,
        'response' => substr((string)$DB->get_field('logstore_xapi_failed_log', 'response', ['id' => $row->newest]), 0, 500),
    ], array_values($rows));
}

function lastack_task(string $class): ?array {
    $task = \core\task\manager::get_scheduled_task($class);
    return $task ? [
        'last_run' => (int)$task->get_last_run_time(),
        'disabled' => (bool)$task->get_disabled(),
    ] : null;
}

$settings = (array)get_config(LASTACK_PLUGIN);
$password = (string)($settings['password'] ?? '');
unset($settings['password'], $settings['version']);
$installed = lastack_has_plugin();
$admin = get_admin();
$free = @disk_free_space($CFG->dataroot);

lastack_respond([
    'release' => $CFG->release,
    // the password of the Secret at the start of this Pod
    'admin_password_changed' => $admin && !validate_internal_user_password($admin, (string)getenv('MOODLE_PASSWORD')),
    'upgrade_pending' => moodle_needs_upgrading(),
    'has_plugin_files' => lastack_has_plugin_files(),
    'settings' => (object)array_map('strval', $settings),
    'password_sha256' => hash('sha256', $password),
    'forced' => array_keys($CFG->forced_plugin_settings[LASTACK_PLUGIN] ?? []),
    'stores' => lastack_stores(),
    'queue' => $installed ? [
        // a large site has millions of these rows, so each query reads at most one, or those of an hour by their index
        'logged_last_hour' => $DB->count_records_select('logstore_standard_log', 'timecreated > ?', [time() - HOURSECS]),
        'logged' => (int)$DB->get_field_sql('SELECT MAX(id) FROM {logstore_standard_log}'),
        'waiting' => $DB->count_records('logstore_xapi_log'),
        // of live events (type 0): a backfill inserts events of any age
        'oldest_waiting' => (int)$DB->get_field_select('logstore_xapi_log', 'MIN(timecreated)', 'type = 0'),
        'last_sent' => (int)$DB->get_field_sql('SELECT timecreated FROM {logstore_xapi_sent_log} ORDER BY id DESC', null, IGNORE_MULTIPLE),
        'newest_logged' => (int)$DB->get_field_sql('SELECT MAX(timecreated) FROM {logstore_standard_log}'),
        'failed' => lastack_failed(),
    ] : null,
    'emit' => $installed ? lastack_task('\logstore_xapi\task\emit_task') : null,
    'last_cron' => (int)get_config('tool_task', 'lastcronstart'),
    'free_bytes' => $free === false ? null : (int)$free,
    'now' => time(),
]);
