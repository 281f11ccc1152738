<?php
define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');

[$options, $unrecognized] = cli_get_params(['help' => false, 'username' => '', 'password' => '', 'ignore-password-policy' => false], ['h' => 'help', 'u' => 'username', 'p' => 'password']);
cli_reject_unknown($unrecognized);
if ($options['help']) {
    echo "Reset local user passwords, useful especially for admin accounts.\n";
    exit(0);
}
if ($options['username'] === '') $options['username'] = trim((string)fgets(STDIN));
if (!$user = $DB->get_record('user', ['auth' => 'manual', 'username' => $options['username'], 'mnethostid' => 1])) cli_error("Can not find user '{$options['username']}'");
if ($options['password'] === '') $options['password'] = trim((string)fgets(STDIN));
if (!$options['ignore-password-policy'] && !check_password_policy($options['password'], $errmsg, $user)) cli_error($errmsg);
update_internal_user_password($user, $options['password']);
echo "Password changed\n";
exit(0);
