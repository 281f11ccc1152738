<?php
namespace core\task;

abstract class task_base {
    private $lock, $component = '', $blocking = false, $faildelay = 0, $nextruntime = 0, $timestarted = null;
    public function set_lock(\core\lock\lock $lock) { $this->lock = $lock; }
    public function get_lock() { return $this->lock; }
    public function release_lock() { if ($this->lock) { $this->lock->release(); $this->lock = null; } }
    public function set_component($component) { $this->component = $component; }
    public function get_component() { return $this->component ?: explode('\\', static::class)[0]; }
    public function is_blocking() { return $this->blocking; }
    public function set_fail_delay($faildelay) { $this->faildelay = $faildelay; }
    public function get_fail_delay() { return $this->faildelay; }
    public function set_next_run_time($time) { $this->nextruntime = $time; }
    public function get_next_run_time() { return $this->nextruntime; }
    public function set_timestarted($time = null) { $this->timestarted = $time; }
    public function get_timestarted() { return $this->timestarted; }
    public function get_name() { return static::class; }
    abstract public function execute();
}
