<?php
// The version that this stand-in replaces.
defined('MOODLE_INTERNAL') || die();

$version  = 2024100712.00;
$release  = '4.5.12 (Build: 20260720)';
$branch   = '405';
$maturity = MATURITY_STABLE;
