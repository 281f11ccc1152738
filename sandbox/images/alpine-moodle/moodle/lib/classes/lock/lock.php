<?php
namespace core\lock;

class lock {
    private $key, $factory, $released = false;
    public function __construct($key, $factory) { [$this->key, $this->factory] = [$key, $factory]; }
    public function get_key() { return $this->key; }
    public function release() {
        if ($this->released) return false;
        $this->released = true;
        return $this->factory->release_lock($this);
    }
}
