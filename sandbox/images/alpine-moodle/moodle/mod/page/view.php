<?php
require('../../config.php');

$id = optional_param('id', 0, PARAM_INT);
$cm = get_coursemodule_from_id('page', $id);
if (!$cm) throw new moodle_exception('invalidcoursemodule');
$course = get_course($cm->course);
require_login($course, true, $cm);
$instance = $DB->get_record('page', ['id' => $cm->instance], '*', MUST_EXIST);
\mod_page\event\course_module_viewed::create(['objectid' => $instance->id, 'context' => context_module::instance($cm->id)])->trigger();
page('page-mod-page-view', "{$course->shortname}: {$instance->name}", '<h1>' . s($instance->name) . '</h1><div>' . ($instance->content ?? $instance->intro) . '</div>');
