<?php
// Reads and writes settings. Settings that config.php forces cannot be changed.
define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');

[$options, $unrecognized] = cli_get_params(['help' => false, 'component' => null, 'name' => null, 'set' => null, 'unset' => false, 'shell-quoted' => false, 'json' => false, 'id' => false, 'no-eol' => false], ['h' => 'help']);
cli_reject_unknown($unrecognized);
$usage = "Display or set Moodle configuration settings.\n\nUsage:\n  # php cfg.php [--component=<componentname>] [--json] [--shell-quoted]\n"
    . "  # php cfg.php --name=<configname> [--component=<componentname>] [--shell-quoted] [--no-eol]\n"
    . "  # php cfg.php --name=<configname> [--component=<componentname>] --set=<value>\n  # php cfg.php --name=<configname> [--component=<componentname>] --unset\n";
if ($options['help']) {
    cli_writeln($usage);
    exit(2);
}
if (($options['set'] !== null || $options['unset']) && ($options['name'] === null || $options['name'] === true || $options['name'] === '')) {
    cli_writeln($usage);
    exit(2);
}
$component = in_array($options['component'], ['core', 'moodle', 'config'], true) ? null : $options['component'];

if ($options['set'] !== null || $options['unset']) {
    $fixed = $component ? $CFG->forced_plugin_settings[$component] ?? [] : $CFG->config_php_settings;
    if (array_key_exists($options['name'], $fixed)) cli_error('The configuration variable is in the config.php settings, unable to change.', 4);
    if ($options['set'] !== null && $options['unset']) cli_error('Only one of --set and --unset can be given.', 2);
    $new = $options['unset'] ? null : $options['set'];
    $old = get_config($component, $options['name']);
    if ((string)$old !== (string)$new) {
        $log = $DB->insert_record('config_log', (object)['userid' => 0, 'timemodified' => time(), 'name' => $options['name'], 'oldvalue' => $old === false ? null : $old, 'value' => $new, 'plugin' => $component]);
        \core\event\config_log_created::create(['objectid' => $log, 'context' => context_system::instance(), 'other' => ['name' => $options['name'], 'oldvalue' => $old, 'value' => $new, 'plugin' => $component]])->trigger();
    }
    set_config($options['name'], $new, $component);
    exit(0);
}

if ($options['name'] === null) {
    $values = (array)get_config($component);
    if (!$component) {
        // The list includes all settings of config.php.
        foreach ($CFG->config_php_settings as $name => $value) if (is_scalar($value)) $values[$name] = (string)(is_bool($value) ? (int)$value : $value);
    }
    ksort($values);
    if ($options['json']) {
        cli_writeln(json_encode((object)array_map('strval', $values)));
        exit(0);
    }
    foreach ($values as $name => $value) {
        cli_writeln("$name\t" . ($options['shell-quoted'] ? escapeshellarg((string)$value) : $value));
    }
    exit(0);
}

$value = get_config($component, $options['name']);
if ($value === false) cli_error('No such configuration variable found.', 3);
if ($options['json']) $value = json_encode($value);
else if ($options['shell-quoted']) $value = escapeshellarg((string)$value);
cli_write($value . ($options['no-eol'] ? '' : "\n"));
exit(0);
