<?php
// The version that this stand-in replaces.
defined('MOODLE_INTERNAL') || die();

$version  = 2025100603.00;
$release  = '5.1.3 (Build: 20260216)';
$branch   = '501';
$maturity = MATURITY_STABLE;
