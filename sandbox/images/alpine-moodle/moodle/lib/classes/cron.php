<?php
namespace core;

// Runs what is due, and looks again until its time is over.
class cron {
    const DEFAULT_MAIN_PROCESS_KEEPALIVE = 180;
    const MAX_MAIN_PROCESS_KEEPALIVE = 900;

    public static function setup_user($user = null, $course = null) {
        if ($user ??= get_admin()) \core\session\manager::set_user($user);
    }

    // This is checked only at the start: maintenance does not end a running cron.
    public static function run_main_process(?int $keepalive = null): void {
        if (CLI_MAINTENANCE) {
            echo "CLI maintenance mode active, cron execution suspended.\n";
            exit(1);
        }
        if (moodle_needs_upgrading()) {
            echo "Moodle upgrade pending, cron execution suspended.\n";
            exit(1);
        }
        self::setup_user();
        mtrace('Server Time: ' . date('r') . "\n\n");
        set_config('lastcronstart', time(), 'tool_task');
        $begun = microtime(true);
        $keepalive ??= (int)(get_config('core', 'cron_keepalive') ?: self::DEFAULT_MAIN_PROCESS_KEEPALIVE);
        if ($keepalive > self::MAX_MAIN_PROCESS_KEEPALIVE) mtrace('Cron keepalive time is too long, reducing to 15 minutes.');
        $until = time() + min($keepalive, self::MAX_MAIN_PROCESS_KEEPALIVE);
        do {
            while (!self::must_stop($begun) && $task = task\manager::get_next_scheduled_task(time())) self::run_inner_scheduled_task($task);
            if (self::must_stop($begun) || time() >= $until) break;
            sleep(1);
        } while (time() < $until);
        mtrace("\nCron completed at " . date('H:i:s') . '. Memory used: ' . display_size(memory_get_usage()) . '.');
        mtrace('Execution took ' . round(microtime(true) - $begun, 6) . ' seconds');
    }

    // A change of plugins or a request ends the loop, because a running cron would execute old code.
    private static function must_stop($begun) {
        global $DB;
        $running = (int)$DB->get_field('config', 'value', ['name' => 'upgraderunning']);
        return $running > time() || task\manager::static_caches_cleared_since((int)$begun);
    }

    public static function run_inner_scheduled_task($task) {
        global $DB, $CFG;
        $classname = get_class($task);
        $fullname = $task->get_name() . " ($classname)";
        [$reads, $writes, $start] = [$DB->perf_get_reads(), $DB->perf_get_writes(), microtime(true)];
        task\manager::scheduled_task_starting($task);
        $output = '';
        ob_start(function ($text) use (&$output) { $output .= $text; return $text; }, 1);
        mtrace("Execute scheduled task: $fullname");
        mtrace('... started ' . date('H:i:s') . '. Current memory use ' . display_size(memory_get_usage()) . '.');
        $failed = false;
        try {
            $task->execute();
            if ($DB->is_transaction_started()) throw new \coding_exception('Task left transaction open');
            mtrace('... used ' . ($DB->perf_get_queries() - $reads - $writes) . ' dbqueries');
            mtrace('... used ' . (microtime(true) - $start) . ' seconds');
            mtrace("Scheduled task complete: $fullname");
        } catch (\Throwable $e) {
            $failed = true;
            if ($DB->is_transaction_started()) $DB->force_transaction_rollback();
            mtrace('... used ' . ($DB->perf_get_queries() - $reads - $writes) . ' dbqueries');
            mtrace('... used ' . (microtime(true) - $start) . ' seconds');
            mtrace("Scheduled task failed: $fullname," . $e->getMessage());
            if (!empty($e->debuginfo) && (int)($CFG->debug ?? 0) >= DEBUG_ALL) mtrace("Debug info:\n" . $e->debuginfo);
        }
        ob_end_flush();
        $DB->insert_record('task_log', (object)['type' => 0, 'component' => $task->get_component(), 'classname' => $classname, 'userid' => 0, 'timestart' => sprintf('%.4F', $start), 'timeend' => sprintf('%.4F', microtime(true)),
            'dbreads' => $DB->perf_get_reads() - $reads, 'dbwrites' => $DB->perf_get_writes() - $writes, 'result' => (int)$failed, 'output' => $output, 'hostname' => php_uname('n'), 'pid' => getmypid()]);
        get_log_manager(true);
        $failed ? task\manager::scheduled_task_failed($task) : task\manager::scheduled_task_complete($task);
        return !$failed;
    }
}
