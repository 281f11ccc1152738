<?php
require(__DIR__ . '/../config.php');

$course = $DB->get_record('course', ['id' => required_param('id', PARAM_INT)], '*', MUST_EXIST);
require_login();
if (is_siteadmin() || is_enrolled(context_course::instance($course->id), $USER)) redirect("{$CFG->wwwroot}/course/view.php?id={$course->id}");
page('page-enrol-index', $course->fullname, '<h1>' . s($course->fullname) . '</h1><div id="notice">You cannot enrol yourself in this course.</div>');
