<?php
// Runs scheduled tasks, for 180 seconds by default.
define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');

[$options, $unrecognized] = cli_get_params(['help' => false, 'stop' => false, 'list' => false, 'force' => false, 'enable' => false, 'disable' => false, 'disable-wait' => false, 'keep-alive' => null], ['h' => 'help', 's' => 'stop', 'l' => 'list', 'f' => 'force', 'e' => 'enable', 'd' => 'disable', 'w' => 'disable-wait', 'k' => 'keep-alive']);
cli_reject_unknown($unrecognized);
if ($options['help']) {
    echo "Execute periodic cron actions.\n\nOptions:\n-h, --help               Print out this help\n-s, --stop               Notify all other running cron processes to stop after the current task\n-f, --force              Execute task even if cron is disabled\n"
        . "-e, --enable             Enable cron\n-d, --disable            Disable cron\n-k, --keep-alive=N       Keep this script alive for N seconds and poll for new adhoc tasks\n";
    exit(0);
}
if ($options['stop']) {
    set_config('gracefulexit', time(), 'tool_task');
    exit(0);
}
if ($options['enable']) {
    set_config('cron_enabled', 1);
    mtrace('Cron has been enabled for the site.');
    exit(0);
}
if ($options['disable'] || $options['disable-wait']) {
    set_config('cron_enabled', 0);
    set_config('gracefulexit', time(), 'tool_task');
    mtrace('Cron has been disabled for the site.');
    exit(0);
}
if (!get_config('core', 'cron_enabled') && !$options['force']) {
    mtrace('Cron is disabled. Use --force to override.');
    exit(1);
}
if ($options['keep-alive'] !== null && !is_numeric($options['keep-alive'])) cli_error('Invalid value for --keep-alive.');
\core\cron::run_main_process($options['keep-alive'] === null ? null : (int)$options['keep-alive']);
