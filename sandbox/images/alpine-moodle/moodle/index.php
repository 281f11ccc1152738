<?php
// The front page. Who is not logged in is counted as a visitor, user 0, and sent to log in.
require(__DIR__ . '/config.php');

redirect_if_major_upgrade_required();
if (isloggedin()) redirect("{$CFG->wwwroot}/my/");
\core\event\course_viewed::create(['context' => context_course::instance(SITEID)])->trigger();
redirect(get_login_url());
