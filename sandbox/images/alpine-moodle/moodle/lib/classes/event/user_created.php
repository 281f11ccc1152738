<?php
namespace core\event;

class user_created extends base {
    protected function init() { [$this->data['crud'], $this->data['edulevel'], $this->data['objecttable']] = ['c', self::LEVEL_OTHER, 'user']; }
}
