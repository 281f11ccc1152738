<?php
// The front page. A visitor who is not logged in counts as user 0, and is redirected to the login.
require(__DIR__ . '/config.php');

redirect_if_major_upgrade_required();
if (!empty($CFG->maintenance_enabled) && !is_siteadmin()) print_maintenance_message();
if (isloggedin()) redirect("{$CFG->wwwroot}/my/");
\core\event\course_viewed::create(['context' => context_course::instance(SITEID)])->trigger();
redirect(get_login_url());
