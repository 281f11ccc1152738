<?php
namespace core\task;

class manager {
    // The tasks in db/tasks.php of a component. A changed schedule stays.
    public static function reset_scheduled_tasks_for_component($component) {
        global $DB;
        $folder = \core_component::get_component_directory($component);
        $tasks = [];
        if ($folder && is_file("$folder/db/tasks.php")) include("$folder/db/tasks.php");
        foreach ($tasks as $task) {
            $classname = '\\' . ltrim($task['classname'], '\\');
            $record = (object)(['component' => $component === 'core' ? 'moodle' : $component, 'classname' => $classname, 'disabled' => (int)!empty($task['disabled'])] + array_intersect_key($task, array_flip(['minute', 'hour', 'day', 'month', 'dayofweek'])));
            $known = $DB->get_record('task_scheduled', ['classname' => $classname]);
            if (!$known) {
                $record->faildelay = 0;
                $record->lastruntime = 0;
                $id = $DB->insert_record('task_scheduled', $record);
                $object = self::from_record($DB->get_record('task_scheduled', ['id' => $id]));
                if ($object) $DB->set_field('task_scheduled', 'nextruntime', $object->get_next_scheduled_time(), ['id' => $id]);
            } else if (!$known->customised) {
                $record->id = $known->id;
                unset($record->disabled);
                $DB->update_record('task_scheduled', $record);
            }
        }
    }
    private static function from_record($record) {
        if (!$record || !class_exists($record->classname)) return false;
        $task = new $record->classname();
        $task->set_record($record);
        return $task;
    }
    public static function get_canonical_class_name($class) { return '\\' . ltrim(is_object($class) ? get_class($class) : $class, '\\'); }
    public static function get_scheduled_task($classname) {
        global $DB;
        return self::from_record($DB->get_record('task_scheduled', ['classname' => self::get_canonical_class_name($classname)]));
    }
    public static function get_all_scheduled_tasks() {
        global $DB;
        return array_values(array_filter(array_map([self::class, 'from_record'], $DB->get_records('task_scheduled', [], 'component, classname'))));
    }
    // A task that was killed stays in this list until it runs again.
    public static function get_running_tasks($sort = 'timestarted, classname') {
        global $DB;
        return $DB->get_records_sql("SELECT * FROM (SELECT 's' || id AS uniqueid, id, 'scheduled' AS type, classname, timestarted, hostname, pid FROM {task_scheduled} WHERE timestarted IS NOT NULL
            UNION ALL SELECT 'a' || id, id, 'adhoc', classname, timestarted, hostname, pid FROM {task_adhoc} WHERE timestarted IS NOT NULL) tasks ORDER BY $sort");
    }
    public static function load_scheduled_tasks_for_component($component) {
        return array_values(array_filter(self::get_all_scheduled_tasks(), fn($task) => $task->get_component() === $component));
    }
    // The next due task that no other process runs, with its lock.
    public static function get_next_scheduled_task($timestart) {
        global $DB;
        $factory = \core\lock\lock_config::get_lock_factory('cron');
        foreach ($DB->get_records_select('task_scheduled', '(lastruntime IS NULL OR lastruntime < ?) AND (nextruntime IS NULL OR nextruntime < ?) AND disabled = 0', [$timestart, $timestart], 'lastruntime, id') as $record) {
            $task = self::from_record($record);
            if (!$task || !$task->can_run()) continue;
            $lock = $factory->get_lock($record->classname, 0);
            if (!$lock) continue;
            // Another process may have run it since the list was read.
            $now = $DB->get_record('task_scheduled', ['id' => $record->id]);
            if (!$now || $now->lastruntime != $record->lastruntime || $now->disabled) { $lock->release(); continue; }
            $task->set_lock($lock);
            return $task;
        }
        return null;
    }
    public static function scheduled_task_starting($task, $time = null) {
        self::update($task, ['timestarted' => time(), 'hostname' => php_uname('n'), 'pid' => getmypid()]);
    }
    public static function scheduled_task_complete($task) {
        $task->set_last_run_time(time());
        $task->set_fail_delay(0);
        self::update($task, ['timestarted' => null, 'hostname' => null, 'pid' => null, 'faildelay' => 0, 'lastruntime' => time(), 'nextruntime' => $task->get_next_scheduled_time()]);
        $task->release_lock();
    }
    // Waits longer each time: a minute, two, up to a day.
    public static function scheduled_task_failed($task) {
        $delay = min(max(60, 2 * (int)$task->get_fail_delay()), DAYSECS);
        $task->set_fail_delay($delay);
        self::update($task, ['timestarted' => null, 'hostname' => null, 'pid' => null, 'faildelay' => $delay, 'nextruntime' => time() + $delay]);
        $task->release_lock();
    }
    // Ends every cron that began earlier, because it keeps the settings that it has read.
    public static function clear_static_caches() {
        set_config('scheduledtaskreset', time());
    }
    public static function static_caches_cleared_since($starttime) {
        global $DB;
        return (int)$DB->get_field('config', 'value', ['name' => 'scheduledtaskreset']) > $starttime;
    }
    private static function update($task, array $values) {
        global $DB;
        $id = $DB->get_field('task_scheduled', 'id', ['classname' => self::get_canonical_class_name($task)]);
        if ($id) $DB->update_record('task_scheduled', (object)($values + ['id' => $id]));
    }
}
