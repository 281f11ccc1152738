<?php
// Sets values that differ: {"settings": {name: value}, "stores": true, "routes": true}. Other settings stay unchanged.
// `routes` fills an empty list of events with all events of the plugin. A list that is not empty stays unchanged.
// `stores` enables the plugin's log store after the enabled ones, with Moodle's standard log first: without it the
// plugin cannot match its rows with events.

require(__DIR__ . '/boot.php');

$asked = lastack_input();
lastack_require_plugin();
$changed = [];

foreach ((array)($asked->settings ?? []) as $name => $value) {
    if ((string)get_config(LASTACK_PLUGIN, $name) !== (string)$value) {
        set_config($name, $value, LASTACK_PLUGIN);
        $changed[] = $name;
    }
}

if (!empty($asked->routes) && trim((string)get_config(LASTACK_PLUGIN, 'routes'), ', ') === '') {
    set_config('routes', implode(',', array_keys(logstore_xapi_get_event_names_array())), LASTACK_PLUGIN);
    $changed[] = 'routes';
}

if (!empty($asked->stores)) {
    $stores = lastack_stores();
    $wanted = array_values(array_unique(array_merge(['logstore_standard'], $stores, [LASTACK_PLUGIN])));
    if ($stores !== $wanted) {
        set_config('enabled_stores', implode(',', $wanted), 'tool_log');
        // the task that sends is due as of now, and not only at the next full minute
        $DB->set_field('task_scheduled', 'nextruntime', time(), ['classname' => '\logstore_xapi\task\emit_task']);
        $changed[] = 'enabled_stores';
    }
}

if ($changed) {
    // a running cron keeps the settings that it has read for up to three minutes; this ends it, and its service restarts it
    \core\task\manager::clear_static_caches();
}
lastack_respond(['changed' => $changed]);
