<?php
// Maintenance: --enable writes a page into the data folder. Every request gets this page, also after a restart.
define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');

[$options, $unrecognized] = cli_get_params(['enable' => false, 'enablelater' => 0, 'enableold' => false, 'disable' => false, 'help' => false], ['h' => 'help']);
cli_reject_unknown($unrecognized);
if ($options['help']) {
    echo "Maintenance mode settings.\nCurrent status displayed if not option specified.\n";
    exit(0);
}
cli_heading("Maintenance mode ({$CFG->wwwroot})");
if ($options['enable']) {
    if (!CLI_MAINTENANCE) enable_cli_maintenance_mode();
    set_config('maintenance_enabled', 0);
    echo "Your site is currently in CLI maintenance mode, no web access is allowed.\n";
} else if ($options['enableold']) {
    set_config('maintenance_enabled', 1);
    echo "Your site is currently in maintenance mode (only admins can log in or use the site).\n";
} else if ($options['disable']) {
    set_config('maintenance_enabled', 0);
    if (CLI_MAINTENANCE) unlink($CFG->dataroot . '/climaintenance.html');
    echo "Maintenance mode has been disabled and the site is running normally again\n";
} else if (CLI_MAINTENANCE) {
    echo "Status: CLI maintenance\n";
} else {
    echo !empty($CFG->maintenance_enabled) ? "Status: enabled\n" : "Status: disabled\n";
}
exit(0);
