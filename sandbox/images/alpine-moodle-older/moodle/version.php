<?php
// The version that this stand-in replaces.
defined('MOODLE_INTERNAL') || die();

$version  = 2024100711.00;
$release  = '4.5.11 (Build: 20260420)';
$branch   = '405';
$maturity = MATURITY_STABLE;
