<?php
namespace core\event;

class user_login_failed extends base {
    protected function init() { [$this->data['crud'], $this->data['edulevel'], $this->data['objecttable']] = ['r', self::LEVEL_OTHER, null]; }
}
