<?php
namespace core\event;

class database_text_field_content_replaced extends base {
    protected function init() { [$this->data['crud'], $this->data['edulevel']] = ['u', self::LEVEL_OTHER]; }
}
