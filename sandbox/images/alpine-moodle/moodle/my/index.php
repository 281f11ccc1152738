<?php
require(__DIR__ . '/../config.php');

require_login();
\core\event\dashboard_viewed::create(['context' => context_user::instance($USER->id)])->trigger();
$courses = $DB->get_records_sql('SELECT c.id, c.fullname FROM {course} c JOIN {enrol} e ON e.courseid = c.id JOIN {user_enrolments} ue ON ue.enrolid = e.id WHERE ue.userid = ? ORDER BY c.id', [$USER->id]);
$list = implode('', array_map(fn($course) => "<li><a href=\"{$CFG->wwwroot}/course/view.php?id={$course->id}\">" . s($course->fullname) . '</a></li>', $courses));
page('page-my-index', 'Dashboard', "<h1>Dashboard</h1><ul>$list</ul>");
