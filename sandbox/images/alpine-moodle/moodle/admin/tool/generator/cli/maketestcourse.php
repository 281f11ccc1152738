<?php
// Creates a course with pages, a forum and enrolled users.
define('CLI_SCRIPT', true);
require(__DIR__ . '/../../../../config.php');
require_once($CFG->libdir . '/clilib.php');

const SIZES = ['XS', 'S', 'M', 'L', 'XL', 'XXL'];
const SECTIONS = [1, 10, 100, 500, 1000, 2000];
const PAGES = [1, 50, 200, 1000, 5000, 10000];
const SMALL_FILES = [1, 64, 128, 1024, 16384, 32768];
const SMALL_FILE_BYTES = [1024, 16384, 81920, 102400, 65536, 65536];
const USERS = [1, 100, 1000, 10000, 50000, 100000];
// Names with characters outside ASCII, as in the real generator.
const FIRST_NAMES = ['Émilie', 'Łukasz', 'Ödön', 'Zoë', 'Ñandú', 'Søren', 'Анна', 'Γιάννης', '健', '민준', 'नीलम', 'ليلى'];
const LAST_NAMES = ['Müller', 'Dvořák', 'O’Brien', 'Ångström', 'Соколов', 'Παπαδόπουλος', '田中', '김', 'शर्मा', 'حداد', 'Nguyễn'];

[$options, $unrecognized] = cli_get_params(['help' => false, 'shortname' => false, 'fullname' => false, 'summary' => '', 'size' => false, 'fixeddataset' => false, 'filesizelimit' => false, 'bypasscheck' => false, 'additionalmodules' => '', 'quiet' => false], ['h' => 'help']);
if ($options['help'] || empty($options['shortname']) || empty($options['size'])) {
    echo "Utility to create standard test course. (Also available in GUI interface.)\n\nOptions:\n--shortname      Shortname of course to create (required)\n--fullname       Fullname of course to create (optional)\n--size           Size of course to create XS, S, M, L, XL, or XXL (required)\n"
        . "--bypasscheck    Bypasses the developer-mode check (be careful!)\n--quiet          Do not show any output\n";
    exit(empty($options['help']) ? 1 : 0);
}
cli_reject_unknown($unrecognized);
if (empty($options['bypasscheck']) && (int)$CFG->debug < DEBUG_ALL) cli_error('Not available on this server because debugging is not set to DEVELOPER');
$size = array_search($options['size'], SIZES, true);
if ($size === false) cli_error("Invalid size ({$options['size']}). Use one of: " . implode(', ', SIZES));
if ($DB->record_exists('course', ['shortname' => $options['shortname']])) cli_error("Short name is already used for another course ({$options['shortname']})");

\core\session\manager::set_user(get_admin());
$say = fn($text) => $options['quiet'] ? null : mtrace($text);
$course = create_course((object)['fullname' => $options['fullname'] ?: "{$options['size']} test course", 'shortname' => $options['shortname'], 'summary' => $options['summary']]);
$say("Creating course {$options['shortname']}");
$sections = [];
for ($number = 1; $number <= SECTIONS[$size]; $number++) $sections[] = create_section($course->id, $number);
$users = [];
for ($number = 1; $number <= USERS[$size]; $number++) {
    $username = 'tool_generator_' . sprintf('%06d', $number);
    $id = $DB->get_field('user', 'id', ['username' => $username]);
    if (!$id) {
        $id = $DB->insert_record('user', (object)['auth' => 'manual', 'confirmed' => 1, 'mnethostid' => 1, 'username' => $username, 'password' => 'not cached', 'firstname' => FIRST_NAMES[$number % count(FIRST_NAMES)], 'lastname' => LAST_NAMES[$number % count(LAST_NAMES)],
            'email' => "$username@example.com", 'timecreated' => time(), 'timemodified' => time()]);
        \core\event\user_created::create(['objectid' => $id, 'relateduserid' => $id, 'context' => context_user::instance($id)])->trigger();
    }
    $users[] = $id;
}
$say('Creating user accounts (' . count($users) . ')');
enrol_user_in_course(get_admin()->id, $course, $DB->get_field('role', 'id', ['shortname' => 'editingteacher']));
foreach ($users as $id) enrol_user_in_course($id, $course);
$say('Enrolling users into course (' . count($users) . ')');
for ($number = 1; $number <= PAGES[$size]; $number++) {
    create_module_of_course($course, 'page', $sections[array_rand($sections)], ['name' => "Page $number", 'content' => "<p>Test content of page $number.</p>", 'contentformat' => 1]);
}
$say('Creating pages (' . PAGES[$size] . ')');
// The generator uploads the main file of the resource as a draft of the administrator, which stays.
$files = get_file_storage();
$resource = create_module_of_course($course, 'resource', $DB->get_field('course_sections', 'id', ['course' => $course->id, 'section' => 0]), ['name' => 'Small files']);
$main = ['filepath' => '/', 'filename' => 'resource1.txt'];
$area = ['contextid' => context_module::instance($resource)->id, 'component' => 'mod_resource', 'filearea' => 'content', 'itemid' => 0];
$files->create_file_from_string($main + ['contextid' => context_user::instance($USER->id)->id, 'component' => 'user', 'filearea' => 'draft', 'itemid' => random_int(1, 999999999)], 'Test resource resource1.txt file');
$files->create_file_from_string($area + $main + ['sortorder' => 1], 'Test resource resource1.txt file');
$bytes = is_numeric($options['filesizelimit']) ? max(1, min(SMALL_FILE_BYTES[$size], (int)$options['filesizelimit'])) : SMALL_FILE_BYTES[$size];
for ($number = 0; $number < SMALL_FILES[$size]; $number++) $files->create_file_from_string($area + ['filepath' => '/', 'filename' => "smallfile$number.dat"], random_bytes($bytes));
$say('Creating small files (' . SMALL_FILES[$size] . ')');
create_module_of_course($course, 'forum', $sections[0], ['name' => 'Forum', 'type' => 'general']);
$say('Creating forum (1)');
$url = "{$CFG->wwwroot}/course/view.php?id={$course->id}";
if (!$options['quiet']) echo "\nGenerated course: $url\n";
exit(0);
