<?php
namespace core\event;

class user_loggedout extends base {
    protected function init() { [$this->data['crud'], $this->data['edulevel'], $this->data['objecttable']] = ['r', self::LEVEL_OTHER, 'user']; }
}
