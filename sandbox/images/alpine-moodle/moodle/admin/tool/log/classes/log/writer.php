<?php
namespace tool_log\log;

interface writer extends store {
    public function write(\core\event\base $event);
    public function is_logging();
}
