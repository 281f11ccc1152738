<?php
require('../../config.php');

$id = optional_param('id', 0, PARAM_INT);
$cm = get_coursemodule_from_id('resource', $id);
if (!$cm) throw new moodle_exception('invalidcoursemodule');
$course = get_course($cm->course);
require_login($course, true, $cm);
$instance = $DB->get_record('resource', ['id' => $cm->instance], '*', MUST_EXIST);
$context = context_module::instance($cm->id);
\mod_resource\event\course_module_viewed::create(['objectid' => $instance->id, 'context' => $context])->trigger();
$files = get_file_storage()->get_area_files($context->id, 'mod_resource', 'content', 0, 'sortorder DESC, id', false);
$list = implode('', array_map(fn($file) => '<li>' . s($file->get_filename()) . " ({$file->get_filesize()} bytes)</li>", $files));
page('page-mod-resource-view', "{$course->shortname}: {$instance->name}", '<h1>' . s($instance->name) . "</h1><ul>$list</ul>");
