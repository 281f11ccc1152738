<?php
// Lists scheduled tasks, or runs one of them now.
define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');

[$options, $unrecognized] = cli_get_params(['help' => false, 'list' => false, 'execute' => false, 'showsql' => false, 'showdebugging' => false, 'force' => false], ['h' => 'help', 'f' => 'force']);
cli_reject_unknown($unrecognized);
if ($options['help'] || (!$options['list'] && !$options['execute'])) {
    echo "Scheduled cron tasks.\n\nOptions:\n-h, --help               Print out this help\n    --list               List all scheduled tasks\n    --execute=<task>     Execute scheduled task manually\n-f, --force              Execute task even if cron is disabled\n";
    exit(0);
}
if ($options['list']) {
    cli_heading("List of scheduled tasks ({$CFG->wwwroot})");
    foreach (\core\task\manager::get_all_scheduled_tasks() as $task) {
        $schedule = implode(' ', [$task->get_minute(), $task->get_hour(), $task->get_day(), $task->get_day_of_week(), $task->get_month()]);
        $next = $task->get_next_run_time();
        if (!$task->is_component_enabled()) $when = 'Plugin disabled';
        else if ($task->get_disabled()) $when = 'Task disabled';
        else $when = $next > time() ? userdate($next) : 'ASAP';
        echo str_pad('\\' . get_class($task), 50, ' ') . ' ' . str_pad($schedule, 17, ' ') . ' ' . $when . "\n";
    }
    exit(0);
}
$task = \core\task\manager::get_scheduled_task($options['execute']);
if (!$task) {
    mtrace("Task '{$options['execute']}' not found");
    exit(1);
}
if (moodle_needs_upgrading()) {
    mtrace('Moodle upgrade pending, cannot execute tasks.');
    exit(1);
}
if (!get_config('core', 'cron_enabled') && !$options['force']) {
    mtrace('Cron is disabled. Use --force to override.');
    exit(1);
}
\core\cron::setup_user();
$lock = \core\lock\lock_config::get_lock_factory('cron')->get_lock('\\' . get_class($task), 10);
if (!$lock) {
    mtrace('Cannot obtain task lock');
    \core\task\manager::scheduled_task_failed($task);
    exit(130);
}
$task->set_lock($lock);
exit(\core\cron::run_inner_scheduled_task($task) ? 0 : 1);
