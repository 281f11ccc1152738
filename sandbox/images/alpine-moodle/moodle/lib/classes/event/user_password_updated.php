<?php
namespace core\event;

class user_password_updated extends base {
    protected function init() { [$this->data['crud'], $this->data['edulevel'], $this->data['objecttable']] = ['u', self::LEVEL_OTHER, 'user']; }
}
