<?php
defined('MOODLE_INTERNAL') || die();

$string['pluginname'] = 'DB search and replace';
$string['notimplemented'] = 'Sorry, this feature is not implemented in your database driver.';
$string['cannotfit'] = 'The replacement is longer than the original and shortening is not allowed; cannot continue.';
$string['invalidcharacter'] = 'Invalid characters were found in the search or replace text.';
$string['excludedtables'] = 'Several tables are not updated as part of the text replacement. These include configuration, log, events, and session tables.';
$string['notsupported'] = 'This script should be considered experimental. Changes made cannot be reverted, thus a complete backup should be made before running the script!';
