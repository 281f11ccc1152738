<?php
define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');

[$options, $unrecognized] = cli_get_params(['help' => false, 'muc' => false, 'courses' => false, 'theme' => false, 'lang' => false, 'js' => false, 'filter' => false, 'other' => false], ['h' => 'help']);
cli_reject_unknown($unrecognized);
if ($options['help']) {
    echo "Invalidates Moodle internal caches\n";
    exit(0);
}
purge_all_caches();
exit(0);
