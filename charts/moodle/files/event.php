<?php
// Traces one event. {"do": "make", "course": SHORTNAME} triggers the event that an enrolled learner viewed the course,
// {"do": "follow", "log": ID} returns where the event is, {"do": "forget", "log": ID} deletes it from the tables of Moodle and the plugin.

require(__DIR__ . '/boot.php');

function lastack_make(string $shortname): array {
    global $DB, $CFG;
    $course = $DB->get_record('course', ['shortname' => $shortname]);
    if (!$course) {
        throw new Exception("there is no course with the short name $shortname");
    }
    $context = context_course::instance($course->id);
    $users = $DB->get_records_sql(
        "SELECT u.* FROM {user} u JOIN {user_enrolments} ue ON ue.userid = u.id JOIN {enrol} e ON e.id = ue.enrolid
           JOIN {role_assignments} ra ON ra.userid = u.id AND ra.contextid = :context JOIN {role} r ON r.id = ra.roleid
          WHERE e.courseid = :course AND r.archetype = 'student' AND u.deleted = 0 AND u.suspended = 0 ORDER BY u.id",
        ['course' => $course->id, 'context' => $context->id], 0, 1
    );
    if (!$users) {
        throw new Exception("course $shortname has no enrolled learner");
    }
    $learner = reset($users);
    \core\session\manager::set_user($learner);
    \core\event\course_viewed::create(['context' => $context])->trigger();
    // log stores buffer events until the end of a script; requesting a new log manager flushes them
    get_log_manager(true);
    $log = $DB->get_records(
        'logstore_standard_log',
        ['eventname' => '\core\event\course_viewed', 'userid' => $learner->id, 'courseid' => $course->id], 'id DESC', '*', 0, 1
    );
    $row = reset($log);
    return [
        'log' => $row ? (int)$row->id : null,
        'time' => $row ? (int)$row->timecreated : time(),
        'user' => (int)$learner->id,
        'learner' => $learner->username,
        'email' => $learner->email,
        'activity' => "$CFG->wwwroot/course/view.php?id=$course->id",
    ];
}

function lastack_follow(int $log): array {
    global $DB;
    $failed = $DB->get_records('logstore_xapi_failed_log', ['logstorestandardlogid' => $log], 'id DESC', 'id, errortype, response', 0, 1);
    $failed = reset($failed);
    return [
        'waiting' => $DB->record_exists('logstore_xapi_log', ['logstorestandardlogid' => $log]),
        'sent' => (int)$DB->get_field('logstore_xapi_sent_log', 'timecreated', ['logstorestandardlogid' => $log]),
        'failed' => $failed ? ['errortype' => (int)$failed->errortype, 'response' => substr((string)$failed->response, 0, 500)] : null,
    ];
}

$asked = lastack_input();
lastack_require_plugin();
switch ($asked->do) {
    case 'make':
        lastack_respond(lastack_make($asked->course));
        break;
    case 'follow':
        lastack_respond(lastack_follow($asked->log));
        break;
    case 'forget':
        foreach (['logstore_xapi_log', 'logstore_xapi_failed_log', 'logstore_xapi_sent_log'] as $table) {
            // the plugin gives events of one learner in one second the same number: then one of them is not ours
            if ($DB->count_records($table, ['logstorestandardlogid' => $asked->log]) === 1) {
                $DB->delete_records($table, ['logstorestandardlogid' => $asked->log]);
            }
        }
        $DB->delete_records('logstore_standard_log', ['id' => $asked->log]);
        lastack_respond([]);
        break;
}
