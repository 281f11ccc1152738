<?php
require(__DIR__ . '/../config.php');

if (!isloggedin()) {
    require_logout();
    redirect("{$CFG->wwwroot}/");
}
if (!confirm_sesskey()) {
    page('page-login-logout', 'Log out', "<div id=\"notice\">Do you really want to log out?<form method=\"post\" action=\"{$CFG->wwwroot}/login/logout.php\"><input type=\"hidden\" name=\"sesskey\" value=\"" . sesskey() . '"><button type="submit">Continue</button></form></div>');
    exit;
}
require_logout();
redirect("{$CFG->wwwroot}/");
