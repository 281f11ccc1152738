<?php
// Sets what differs: {"settings": {name: value}, "stores": true, "routes": true}. Only names that are given are touched.
// `routes` fills an empty list of events with all that the plugin knows; a list that somebody chose stays.
// `stores` enables the plugin's log store after those that are enabled, Moodle's own first: without it the
// plugin cannot tell which of its rows stands for which event.

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

lastack_answer(['changed' => $changed]);
