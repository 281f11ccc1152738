<?php
namespace core\event;

// An event: what happened, where, by whom. Its class says the rest; triggering gives it to the log stores.
abstract class base implements \ArrayAccess {
    protected $data = [], $context, $triggered = false;
    const LEVEL_OTHER = 0;
    const LEVEL_TEACHING = 1;
    const LEVEL_PARTICIPATING = 2;

    private final function __construct() {}
    protected function init() {}

    final public static function create(?array $data = null) {
        global $USER;
        $data = $data ?? [];
        $event = new static();
        $parts = explode('\\', static::class);
        $words = explode('_', end($parts));
        $event->data = ['eventname' => '\\' . static::class, 'component' => $parts[0], 'action' => array_pop($words), 'target' => implode('_', $words), 'objecttable' => null, 'objectid' => null,
            'crud' => null, 'edulevel' => null, 'contextid' => null, 'contextlevel' => null, 'contextinstanceid' => null, 'userid' => null, 'courseid' => null, 'relateduserid' => null, 'anonymous' => 0, 'other' => null, 'timecreated' => time()];
        $event->init();
        $context = $data['context'] ?? $event->context ?? null;
        if (!$context && !empty($data['contextid'])) $context = \context::instance_by_id($data['contextid']);
        if (!$context) throw new \coding_exception('context (or contextid) is a required event property, system context may be hardcoded in init() method.');
        $event->context = $context;
        $event->data['contextid'] = (int)$context->id;
        $event->data['contextlevel'] = (int)$context->contextlevel;
        $event->data['contextinstanceid'] = (int)$context->instanceid;
        $course = $context->get_course_context(false);
        $event->data['courseid'] = $data['courseid'] ?? ($course ? (int)$course->instanceid : 0);
        $event->data['userid'] = (int)($data['userid'] ?? $USER->id ?? 0);
        foreach (['objectid', 'relateduserid', 'anonymous', 'other'] as $name) {
            if (array_key_exists($name, $data)) $event->data[$name] = $data[$name];
        }
        return $event;
    }
    public function trigger() {
        if ($this->triggered) throw new \coding_exception('Can not trigger event twice');
        $this->triggered = true;
        if (during_initial_install()) return;
        get_log_manager()->process($this);
    }
    public function get_data() { return $this->data; }
    public function get_context() { return $this->context; }
    public static function get_name() { return static::class; }
    public function get_url() { return null; }
    public function add_record_snapshot($table, $record) {}
    public function __get($name) {
        if ($name === 'context') return $this->context;
        if (array_key_exists($name, $this->data)) return $this->data[$name];
        debugging("Accessing non-existent event property '$name'");
    }
    public function __isset($name) { return isset($this->data[$name]); }
    public function offsetExists(mixed $offset): bool { return isset($this->data[$offset]); }
    public function offsetGet(mixed $offset): mixed { return $this->data[$offset]; }
    public function offsetSet(mixed $offset, mixed $value): void {}
    public function offsetUnset(mixed $offset): void {}
}
