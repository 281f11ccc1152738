<?php
// Creates the tables and their rows in an empty database.
define('CLI_SCRIPT', true);
define('CLI_UPGRADE_RUNNING', true);
if (!file_exists(__DIR__ . '/../../config.php')) {
    fwrite(STDERR, "config.php does not exist, can not continue\n");
    exit(1);
}
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');
require_once($CFG->libdir . '/upgradelib.php');

if ($DB->get_tables(false)) cli_error('Database tables already present; CLI installation cannot continue.');

[$options, $unrecognized] = cli_get_params(['lang' => 'en', 'adminuser' => 'admin', 'adminpass' => '', 'adminemail' => '', 'supportemail' => '', 'fullname' => '', 'shortname' => '', 'summary' => '', 'agree-license' => false, 'help' => false], ['h' => 'help']);
if ($options['help']) {
    echo "Advanced command line Moodle database installer.\n";
    exit(0);
}
cli_reject_unknown($unrecognized);
if (!$options['agree-license']) cli_error('You must agree to the licence by using the --agree-license option.');
if ($options['adminpass'] === true || $options['adminpass'] === '') cli_error('Error, incorrect value "" for "adminpass"');
if ($options['adminemail'] !== '' && !validate_email($options['adminemail'])) cli_error("Error, incorrect value \"{$options['adminemail']}\" for \"adminemail\"");
check_php_settings();
$options['fullname'] = $options['fullname'] ?: 'New Site';
$options['shortname'] = $options['shortname'] ?: 'site';
install_core($options);
echo "Installation completed successfully.\n";
exit(0);
