<?php
namespace core\task;

// A task with a schedule: minute, hour, day, month and day of the week, each *, */n, a list or a range.
abstract class scheduled_task extends task_base {
    private $schedule = [], $lastruntime = 0, $disabled = false, $customised = false;
    public function set_record($record) {
        $this->schedule = array_intersect_key((array)$record, array_flip(['minute', 'hour', 'day', 'month', 'dayofweek']));
        $this->lastruntime = $record->lastruntime ?? 0;
        $this->disabled = !empty($record->disabled);
        $this->customised = !empty($record->customised);
        $this->set_next_run_time($record->nextruntime ?? 0);
        $this->set_fail_delay($record->faildelay ?? 0);
        $this->set_timestarted($record->timestarted ?? null);
        $this->set_component($record->component);
    }
    public function get_last_run_time() { return $this->lastruntime; }
    public function set_last_run_time($time) { $this->lastruntime = $time; }
    public function get_disabled() { return $this->disabled; }
    public function is_customised() { return $this->customised; }
    public function get_run_if_component_disabled() { return false; }
    public function is_component_enabled(): bool {
        $info = \core_plugin_manager::instance()->get_plugin_info($this->get_component());
        return !$info || $info->is_enabled() !== false;
    }
    public function can_run(): bool { return $this->is_component_enabled() || $this->get_run_if_component_disabled(); }
    public function get_minute() { return $this->schedule['minute']; }
    public function get_hour() { return $this->schedule['hour']; }
    public function get_day() { return $this->schedule['day']; }
    public function get_month() { return $this->schedule['month']; }
    public function get_day_of_week() { return $this->schedule['dayofweek']; }
    private function matches($field, $value) {
        foreach (explode(',', $this->schedule[$field]) as $part) {
            if ($part === '*') return true;
            if (preg_match('/^\*\/(\d+)$/', $part, $step) && $value % max(1, (int)$step[1]) === 0) return true;
            if (preg_match('/^(\d+)-(\d+)$/', $part, $range) && $value >= $range[1] && $value <= $range[2]) return true;
            if (is_numeric($part) && (int)$part === $value) return true;
        }
        return false;
    }
    public function get_next_scheduled_time(int $now = 0) {
        $time = intdiv($now ?: time(), 60) * 60;
        for ($minutes = 0; $minutes < 60 * 24 * 32; $minutes++) {
            $time += 60;
            [$minute, $hour, $day, $month, $weekday] = array_map('intval', explode(' ', gmdate('i G j n w', $time)));
            if ($this->matches('minute', $minute) && $this->matches('hour', $hour) && $this->matches('day', $day) && $this->matches('month', $month) && $this->matches('dayofweek', $weekday)) return $time;
        }
        return $time;
    }
}
