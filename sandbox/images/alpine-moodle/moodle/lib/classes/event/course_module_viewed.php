<?php
namespace core\event;

// The base of \mod_page\event\course_module_viewed and its like.
abstract class course_module_viewed extends base {
    protected function init() { [$this->data['crud'], $this->data['edulevel']] = ['r', self::LEVEL_PARTICIPATING]; }
}
