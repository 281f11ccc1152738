<?php
defined('MOODLE_INTERNAL') || die();

$tasks = [
    ['classname' => 'core\task\session_cleanup_task', 'minute' => '*', 'hour' => '*', 'day' => '*', 'dayofweek' => '*', 'month' => '*'],
    ['classname' => 'core\task\task_log_cleanup_task', 'minute' => '17', 'hour' => '3', 'day' => '*', 'dayofweek' => '*', 'month' => '*'],
];
