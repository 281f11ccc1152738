<?php
// Runs scheduled tasks, for 180 seconds by default.
define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');

[$options, $unrecognized] = cli_get_params(['help' => false, 'stop' => false, 'list' => false, 'force' => false, 'enable' => false, 'disable' => false, 'disable-wait' => false, 'keep-alive' => null], ['h' => 'help', 's' => 'stop', 'l' => 'list', 'f' => 'force', 'e' => 'enable', 'd' => 'disable', 'w' => 'disable-wait', 'k' => 'keep-alive']);
cli_reject_unknown($unrecognized);
if ($options['help']) {
    echo "Execute periodic cron actions.\n\nOptions:\n-h, --help               Print out this help\n-s, --stop               Notify all other running cron processes to stop after the current task\n-l, --list               Show the list of currently running tasks and how long they have been running\n-f, --force              Execute task even if cron is disabled\n"
        . "-e, --enable             Enable cron\n-d, --disable            Disable cron\n-w, --disable-wait=600   Disable cron and wait until all tasks finished or fail after N seconds (optional param)\n-k, --keep-alive=N       Keep this script alive for N seconds and poll for new adhoc tasks\n";
    exit(0);
}
if ($options['stop']) {
    \core\task\manager::clear_static_caches();
    exit(0);
}
if ($options['enable']) {
    set_config('cron_enabled', 1);
    mtrace('Cron has been enabled for the site.');
    exit(0);
}
if ($options['disable'] || $options['disable-wait']) {
    set_config('cron_enabled', 0);
    \core\task\manager::clear_static_caches();
    mtrace('Cron has been disabled for the site.');
    if ($options['disable']) exit(0);
}
if ($options['list']) {
    mtrace('The list of currently running tasks:');
    $format = "%7s %-12s %-9s %-20s %-52s\n";
    printf($format, 'PID', 'HOST', 'TYPE', 'TIME', 'CLASSNAME');
    foreach (\core\task\manager::get_running_tasks() as $task) printf($format, $task->pid, substr((string)$task->hostname, 0, 12), $task->type, format_time(time() - $task->timestarted), substr($task->classname, 0, 52));
    exit(0);
}
if ($options['disable-wait']) {
    $seconds = $options['disable-wait'] === true ? 600 : (int)$options['disable-wait'];
    mtrace('Allocating ' . format_time($seconds) . ' for the tasks to finish.');
    $reported = 0;
    for ($started = time(); $number = count(\core\task\manager::get_running_tasks()); sleep(1)) {
        if (time() - $started >= $seconds) {
            mtrace("\nWait time (" . format_time($seconds) . ") elapsed, but $number task(s) still running.\nExiting with code 1.");
            exit(1);
        }
        mtrace($number === $reported ? '.' : "\n$number tasks currently running.", '');
        $reported = $number;
    }
    mtrace("\nAll scheduled and adhoc tasks finished.");
    exit(0);
}
if (!get_config('core', 'cron_enabled') && !$options['force']) {
    mtrace('Cron is disabled. Use --force to override.');
    exit(1);
}
if ($options['keep-alive'] !== null && !is_numeric($options['keep-alive'])) cli_error('Invalid value for --keep-alive.');
\core\cron::run_main_process($options['keep-alive'] === null ? null : (int)$options['keep-alive']);
