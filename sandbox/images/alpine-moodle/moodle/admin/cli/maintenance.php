<?php
// Maintenance: --enable writes a page into the data folder. Every request gets this page, also after a restart.
define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');

[$options, $unrecognized] = cli_get_params(['enable' => false, 'enablelater' => 0, 'enableold' => false, 'disable' => false, 'help' => false], ['h' => 'help']);
cli_reject_unknown($unrecognized);
if ($options['help']) {
    echo "Maintenance mode settings.\nCurrent status displayed if not option specified.\n\nOptions:\n--enable              Enable CLI maintenance mode\n--enablelater=MINUTES Number of minutes before entering CLI maintenance mode\n--enableold           Enable legacy half-maintenance mode\n--disable             Disable maintenance mode\n";
    exit(0);
}
cli_heading("Maintenance mode ({$CFG->wwwroot})");
$enabled = file_exists("{$CFG->dataroot}/climaintenance.html");
$later = fn($time) => 'status: CLI maintenance mode will be enabled on ' . userdate($time) . "\n";
if ($options['enablelater']) {
    if ($enabled) {
        echo "Status: enabled\n";
        exit(0);
    }
    set_config('maintenance_later', time() + (int)$options['enablelater'] * MINSECS);
    echo $later($CFG->maintenance_later);
    exit(0);
}
if ($options['enable'] || $options['enableold'] || $options['disable']) {
    set_config('maintenance_enabled', (int)(!$options['enable'] && $options['enableold']));
    unset_config('maintenance_later');
    if ($options['enable']) {
        if (!$enabled) enable_cli_maintenance_mode();
        echo "Your site is currently in CLI maintenance mode, no web access is allowed.\n";
    } else if ($options['enableold']) {
        echo "Your site is currently in maintenance mode (only admins can log in or use the site).\n";
    } else {
        if ($enabled) unlink("{$CFG->dataroot}/climaintenance.html");
        echo "Maintenance mode has been disabled and the site is running normally again\n";
    }
    exit(0);
}
// Both maintenance modes have the same status.
if ($enabled || !empty($CFG->maintenance_enabled)) echo "Status: enabled\n";
else echo isset($CFG->maintenance_later) ? $later($CFG->maintenance_later) : "Status: disabled\n";
exit(0);
