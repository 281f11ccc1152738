<?php
// Courses, their activities, enrolling: what the course generator and the pages share.
defined('MOODLE_INTERNAL') || die();

function get_site() { global $SITE; return $SITE; }
function get_course($courseid, $clone = true) {
    global $DB, $SITE;
    if ($courseid == $SITE->id && !empty($SITE->fullname)) return clone $SITE;
    return $DB->get_record('course', ['id' => $courseid], '*', MUST_EXIST);
}
function get_coursemodule_from_id($modulename, $cmid, $courseid = 0, $sectionnum = false, $strictness = IGNORE_MISSING) {
    global $DB;
    $params = [$cmid];
    $sql = 'SELECT cm.*, m.name AS modname FROM {course_modules} cm JOIN {modules} m ON m.id = cm.module WHERE cm.id = ?';
    if ($modulename) { $sql .= ' AND m.name = ?'; $params[] = $modulename; }
    $cm = $DB->get_record_sql($sql, $params, $strictness);
    if ($cm) $cm->name = $DB->get_field($cm->modname, 'name', ['id' => $cm->instance]);
    return $cm;
}

function create_course($data) {
    global $DB;
    $data = (object)((array)$data + ['category' => 1, 'idnumber' => '', 'summary' => '', 'format' => 'topics', 'startdate' => time(), 'timecreated' => time(), 'timemodified' => time()]);
    if ($DB->record_exists('course', ['shortname' => $data->shortname])) throw new moodle_exception('shortnametaken', '', '', $data->shortname);
    $id = $DB->insert_record('course', $data);
    $course = get_course($id);
    $context = context_course::instance($id);
    \core\event\course_created::create(['objectid' => $id, 'context' => $context, 'other' => ['shortname' => $course->shortname, 'fullname' => $course->fullname]])->trigger();
    create_section($id, 0);
    foreach (['manual', 'guest', 'self'] as $order => $method) {
        $DB->insert_record('enrol', (object)['enrol' => $method, 'status' => $method === 'manual' ? 0 : 1, 'courseid' => $id, 'sortorder' => $order, 'roleid' => 5, 'timecreated' => time(), 'timemodified' => time()]);
    }
    return $course;
}
function create_section($courseid, $number) {
    global $DB;
    $id = $DB->insert_record('course_sections', (object)['course' => $courseid, 'section' => $number, 'summary' => '', 'sequence' => '', 'timemodified' => time()]);
    \core\event\course_section_created::create(['objectid' => $id, 'context' => context_course::instance($courseid), 'other' => ['sectionnum' => $number]])->trigger();
    return $id;
}
function create_module_of_course($course, $modname, $sectionid, array $instance) {
    global $DB;
    $instance += ['course' => $course->id, 'intro' => '', 'introformat' => 1, 'timemodified' => time()];
    $instanceid = $DB->insert_record($modname, (object)$instance);
    $cmid = $DB->insert_record('course_modules', (object)['course' => $course->id, 'module' => $DB->get_field('modules', 'id', ['name' => $modname], MUST_EXIST), 'instance' => $instanceid, 'section' => $sectionid, 'added' => time()]);
    $sequence = $DB->get_field('course_sections', 'sequence', ['id' => $sectionid]);
    $DB->set_field('course_sections', 'sequence', ltrim("$sequence,$cmid", ','), ['id' => $sectionid]);
    \core\event\course_module_created::create(['objectid' => $cmid, 'context' => context_module::instance($cmid), 'other' => ['modulename' => $modname, 'instanceid' => $instanceid, 'name' => $instance['name']]])->trigger();
    return $cmid;
}
function enrol_user_in_course($userid, $course, $roleid = 5) {
    global $DB, $USER;
    $context = context_course::instance($course->id);
    $enrol = $DB->get_record('enrol', ['courseid' => $course->id, 'enrol' => 'manual'], '*', MUST_EXIST);
    if ($DB->record_exists('user_enrolments', ['enrolid' => $enrol->id, 'userid' => $userid])) return;
    $id = $DB->insert_record('user_enrolments', (object)['enrolid' => $enrol->id, 'userid' => $userid, 'timestart' => time() - 1, 'timeend' => 0, 'modifierid' => $USER->id, 'timecreated' => time(), 'timemodified' => time()]);
    \core\event\user_enrolment_created::create(['objectid' => $id, 'courseid' => $course->id, 'context' => $context, 'relateduserid' => $userid, 'other' => ['enrol' => 'manual']])->trigger();
    $DB->insert_record('role_assignments', (object)['roleid' => $roleid, 'contextid' => $context->id, 'userid' => $userid, 'timemodified' => time(), 'modifierid' => $USER->id]);
}
