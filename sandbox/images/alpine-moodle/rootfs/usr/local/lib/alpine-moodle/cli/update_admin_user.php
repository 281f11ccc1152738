<?php
define('CLI_SCRIPT', true);
require((getenv('MOODLE_HTML_DIR') ?: '/var/www/html') . '/config.php');
require_once($CFG->libdir . '/clilib.php');

[$options] = cli_get_params(['username' => '', 'password' => '', 'email' => '']);
if (empty($options['username']) || empty($options['password']) || empty($options['email'])) cli_error('Username, password, and email must all be specified.');
$admin = get_admin();
if (!$admin) {
    echo "Admin user not found.\n";
    exit(0);
}
$DB->update_record('user', (object)['id' => $admin->id, 'username' => $options['username'], 'password' => hash_internal_user_password($options['password']), 'email' => $options['email']]);
echo "Admin username, password, and email updated successfully.\n";
