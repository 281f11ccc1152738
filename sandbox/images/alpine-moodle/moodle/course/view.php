<?php
require(__DIR__ . '/../config.php');

$id = optional_param('id', 0, PARAM_INT);
if (!$id) throw new moodle_exception('unspecifycourseid', 'error');
$course = $DB->get_record('course', ['id' => $id], '*', MUST_EXIST);
if ($course->id == SITEID) redirect("{$CFG->wwwroot}/");
require_login($course);
\core\event\course_viewed::create(['context' => context_course::instance($course->id)])->trigger();
$modules = $DB->get_records_sql('SELECT cm.id, m.name FROM {course_modules} cm JOIN {modules} m ON m.id = cm.module WHERE cm.course = ? ORDER BY cm.section, cm.id', [$course->id]);
$list = '';
foreach ($modules as $module) {
    $cm = get_coursemodule_from_id($module->name, $module->id);
    $list .= "<li class=\"activity {$module->name}\"><a href=\"{$CFG->wwwroot}/mod/{$module->name}/view.php?id={$module->id}\">" . s($cm->name) . '</a></li>';
}
page('page-course-view-topics', "Course: {$course->fullname}", '<h1>' . s($course->fullname) . "</h1><ul>$list</ul>");
