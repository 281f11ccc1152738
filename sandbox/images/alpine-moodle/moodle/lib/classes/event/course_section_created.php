<?php
namespace core\event;

class course_section_created extends base {
    protected function init() { [$this->data['crud'], $this->data['edulevel'], $this->data['objecttable']] = ['c', self::LEVEL_TEACHING, 'course_sections']; }
}
