<?php
namespace core\lock;

// Advisory locks: PostgreSQL lets go of them when the process that holds them dies.
class postgres_lock_factory {
    private static $held = [];
    private $type;
    public function __construct($type) { $this->type = $type; }
    public function is_available() { return true; }
    public function supports_auto_release() { return true; }
    private function numbers($resource) {
        global $CFG;
        return [unpack('l', substr(md5($CFG->dbname . $CFG->prefix, true), 0, 4))[1], unpack('l', substr(md5($this->type . '_' . $resource, true), 0, 4))[1]];
    }
    public function get_lock($resource, $timeout, $maxlifetime = 86400) {
        global $DB;
        $until = microtime(true) + $timeout;
        $numbers = $this->numbers($resource);
        $key = implode('/', $numbers);
        do {
            $got = !isset(self::$held[$key]) && $DB->get_field_sql('SELECT pg_try_advisory_lock(?, ?)', $numbers) === 't';
            if (!$got && microtime(true) < $until) usleep(random_int(10000, 250000));
        } while (!$got && microtime(true) < $until);
        if (!$got) return false;
        self::$held[$key] = true;
        return new lock($resource, $this);
    }
    public function release_lock(lock $lock) {
        global $DB;
        $numbers = $this->numbers($lock->get_key());
        unset(self::$held[implode('/', $numbers)]);
        return $DB->get_field_sql('SELECT pg_advisory_unlock(?, ?)', $numbers) === 't';
    }
}
