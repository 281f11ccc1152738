<?php
// Creates a test course with Moodle's generator, once, and sets the password of its first learner:
// {"shortname": ..., "fullname": ..., "size": "S", "password": ...}. With {"look": true} it only reads. A password that was
// changed in Moodle stays until the given one changes: the setting lastack/learner holds a hash of the last given one.

require(__DIR__ . '/boot.php');
require_once("$CFG->dirroot/lib/moodlelib.php");

const LASTACK_LEARNER = 'tool_generator_000001';

/** Whether the learner can sign in with the given password, or with one that was changed in Moodle since. */
function lastack_has_password(stdClass $learner, string $given): bool {
    return password_verify($given, (string)get_config('lastack', 'learner'))
        ? !in_array($learner->password, ['', AUTH_PASSWORD_NOT_CACHED], true)
        : validate_internal_user_password($learner, $given);
}

$asked = lastack_input();
$course = $DB->get_record('course', ['shortname' => $asked->shortname]);
$learner = $DB->get_record('user', ['username' => LASTACK_LEARNER, 'deleted' => 0]);
$ready = $course && $learner && is_enrolled(context_course::instance($course->id), $learner);

if (empty($asked->look)) {
    if (!$course) {
        $generator = [
            PHP_BINARY, '-d', 'max_input_vars=10000', "$CFG->dirroot/admin/tool/generator/cli/maketestcourse.php",
            "--shortname=$asked->shortname", "--fullname=$asked->fullname", "--size=$asked->size", '--bypasscheck', '--quiet',
        ];
        passthru(implode(' ', array_map('escapeshellarg', $generator)) . ' 2>&1', $code);
        if ($code !== 0) {
            throw new Exception("Moodle's course generator exited with $code");
        }
        $course = $DB->get_record('course', ['shortname' => $asked->shortname], '*', MUST_EXIST);
        $learner = $DB->get_record('user', ['username' => LASTACK_LEARNER, 'deleted' => 0], '*', MUST_EXIST);
    }
    if ($learner && !lastack_has_password($learner, $asked->password)) {
        update_internal_user_password($learner, $asked->password);
        $learner = $DB->get_record('user', ['id' => $learner->id], '*', MUST_EXIST);
        set_config('learner', password_hash($asked->password, PASSWORD_DEFAULT), 'lastack');
    }
}

lastack_respond([
    'course' => $course ? (int)$course->id : null,
    'learner' => $learner ? $learner->username : null,
    'enrolled' => $course && $learner && is_enrolled(context_course::instance($course->id), $learner),
    'has_password' => $learner && lastack_has_password($learner, $asked->password),
]);
