<?php
namespace core\event;

class dashboard_viewed extends base {
    protected function init() { [$this->data['crud'], $this->data['edulevel'], $this->data['objecttable']] = ['r', self::LEVEL_PARTICIPATING, null]; }
}
