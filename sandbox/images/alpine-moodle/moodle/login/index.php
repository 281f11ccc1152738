<?php
// The login form and its submission.
require(__DIR__ . '/../config.php');

redirect_if_major_upgrade_required();
$testsession = optional_param('testsession', 0, PARAM_INT);
if ($testsession) {
    if ($testsession == $USER->id) {
        $url = $SESSION->wantsurl ?? "{$CFG->wwwroot}/my/";
        unset($SESSION->wantsurl);
        redirect($url);
    }
    $SESSION->loginerrormsg = 'Cookies are currently disabled in your browser';
}
$message = $SESSION->loginerrormsg ?? '';
unset($SESSION->loginerrormsg);

if (isset($_POST['username'])) {
    $username = trim((string)$_POST['username']);
    $valid = \core\session\manager::validate_login_token($_POST['logintoken'] ?? '');
    $user = $valid ? authenticate_user_login($username, (string)($_POST['password'] ?? '')) : false;
    if ($user && !isguestuser($user)) {
        complete_user_login($user);
        redirect("{$CFG->wwwroot}/login/index.php?testsession={$USER->id}");
    }
    // A token of another session has the same response as a wrong password.
    $SESSION->loginerrormsg = $valid ? get_string('invalidlogin') : 'Your session has timed out. Please log in again.';
    $SESSION->lastusername = $username;
    redirect("{$CFG->wwwroot}/login/index.php?loginredirect=1");
}
if (isloggedin()) redirect("{$CFG->wwwroot}/my/");

$token = '<input type="hidden" name="logintoken" value="' . \core\session\manager::get_login_token() . '">';
$error = $message === '' ? '' : '<div class="alert alert-danger" role="alert" id="loginerrormessage">' . s($message) . '</div>';
$username = s($SESSION->lastusername ?? '');
page('page-login-index', 'Log in to the site', "$error<form class=\"login-form\" action=\"{$CFG->wwwroot}/login/index.php\" method=\"post\" id=\"login\">$token<input type=\"text\" name=\"username\" id=\"username\" value=\"$username\"><input type=\"password\" name=\"password\" id=\"password\" value=\"\"><button type=\"submit\" id=\"loginbtn\">Log in</button></form>"
    . "<form action=\"{$CFG->wwwroot}/login/index.php\" method=\"post\" id=\"guestlogin\">$token<input type=\"hidden\" name=\"username\" value=\"guest\"><input type=\"hidden\" name=\"password\" value=\"guest\"><button type=\"submit\" id=\"loginguestbtn\">Access as a guest</button></form>");
