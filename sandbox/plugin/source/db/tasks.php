<?php
defined('MOODLE_INTERNAL') || die();

$any = ['blocking' => 0, 'minute' => '*', 'hour' => '*', 'day' => '*', 'dayofweek' => '*', 'month' => '*'];
$tasks = [
    ['classname' => '\logstore_xapi\task\emit_task', 'minute' => '*/1'] + $any,
    ['classname' => '\logstore_xapi\task\failed_task', 'minute' => '*/30'] + $any,
    ['classname' => '\logstore_xapi\task\historical_task', 'minute' => '0'] + $any,
    ['classname' => '\logstore_xapi\task\sendfailednotifications_task', 'hour' => '*/2'] + $any,
];
