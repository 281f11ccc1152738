<?php
namespace core\event;

class config_log_created extends base {
    protected function init() { [$this->data['crud'], $this->data['edulevel'], $this->data['objecttable']] = ['c', self::LEVEL_OTHER, 'config_log']; }
}
