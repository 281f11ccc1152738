<?php
// Required by config.php: constants, libraries, database, settings, and what stops a request early.

if (!defined('MOODLE_INTERNAL')) define('MOODLE_INTERNAL', true);
if (!defined('CLI_SCRIPT')) define('CLI_SCRIPT', false);
if (!defined('NO_MOODLE_COOKIES')) define('NO_MOODLE_COOKIES', CLI_SCRIPT);
if (!defined('PHPUNIT_TEST')) define('PHPUNIT_TEST', false);
if (!defined('AJAX_SCRIPT')) define('AJAX_SCRIPT', false);

if (CLI_SCRIPT && isset($_SERVER['REMOTE_ADDR'])) {
    echo "Command line scripts can not be executed from the web server.\n";
    exit(1);
}
if (!CLI_SCRIPT && PHP_SAPI === 'cli') {
    echo "Command line scripts must define CLI_SCRIPT before requiring config.php\n";
    exit(1);
}

global $CFG, $DB, $USER, $SITE, $SESSION, $PAGE, $OUTPUT, $COURSE;

if (!isset($CFG->wwwroot) || $CFG->wwwroot === 'http://example.com/moodle') {
    echo 'Fatal error: $CFG->wwwroot is not configured! Exiting.' . "\n";
    exit(1);
}
$CFG->config_php_settings = (array)$CFG;
$CFG->dirroot = $CFG->dirroot ?? dirname(__DIR__);
$CFG->libdir = $CFG->dirroot . '/lib';
$CFG->prefix = $CFG->prefix ?? '';
$CFG->admin = $CFG->admin ?? 'admin';
$CFG->dataroot = rtrim($CFG->dataroot ?? '', '/');
$CFG->tempdir = $CFG->dataroot . '/temp';
$CFG->directorypermissions = $CFG->directorypermissions ?? 02777;
$CFG->filepermissions = $CFG->filepermissions ?? $CFG->directorypermissions & 0666;
umask(($CFG->directorypermissions & 0777) ^ 0777);
if (!isset($CFG->forced_plugin_settings)) $CFG->forced_plugin_settings = [];
if (!is_dir($CFG->dataroot) || !is_writable($CFG->dataroot)) {
    if (!CLI_SCRIPT) http_response_code(500);
    echo 'Fatal error: $CFG->dataroot is not configured properly, directory does not exist or is not accessible! Exiting.' . "\n";
    exit(1);
}

require_once(__DIR__ . '/setuplib.php');
require_once(__DIR__ . '/classes/component.php');
require_once(__DIR__ . '/dmllib.php');
require_once(__DIR__ . '/ddllib.php');
require_once(__DIR__ . '/moodlelib.php');
require_once(__DIR__ . '/accesslib.php');
require_once(__DIR__ . '/weblib.php');
require_once(__DIR__ . '/datalib.php');
require_once(__DIR__ . '/classes/plugin_manager.php');
require_once(__DIR__ . '/classes/user.php');

spl_autoload_register([core_component::class, 'autoload']);
set_exception_handler('default_exception_handler');
register_shutdown_function(['core_shutdown_manager', 'run']);
if (CLI_SCRIPT) core_shutdown_manager::handle_signals();

// The site's own maintenance page stands before the database: it is there to be shown when nothing else works.
define('CLI_MAINTENANCE', file_exists($CFG->dataroot . '/climaintenance.html'));
if (!CLI_SCRIPT && CLI_MAINTENANCE) {
    send_status(503);
    header('Content-Type: text/html; charset=utf-8');
    header('Retry-After: 300');
    readfile($CFG->dataroot . '/climaintenance.html');
    exit;
}

$DB = new moodle_database();
$DB->connect($CFG);

initialise_cfg();
date_default_timezone_set('UTC');

// NO_UPGRADE_CHECK: the installer and the upgrade say themselves what stands in their way.
if (!empty($CFG->upgraderunning) && $CFG->upgraderunning > time() && !defined('CLI_UPGRADE_RUNNING')) {
    throw new moodle_exception('upgraderunning', 'error');
}

$USER = (object)['id' => 0, 'username' => '', 'mnethostid' => 1];
$SESSION = new stdClass();
$PAGE = (object)['requestorigin' => CLI_SCRIPT ? 'cli' : 'web', 'requestip' => CLI_SCRIPT ? null : ($_SERVER['REMOTE_ADDR'] ?? null)];
$SITE = $DB->get_manager()->table_exists('course') ? $DB->get_record('course', ['category' => 0]) : false;
if (!$SITE) $SITE = (object)['id' => 1, 'fullname' => '', 'shortname' => '', 'category' => 0];
$COURSE = clone $SITE;

if (!CLI_SCRIPT) {
    initialise_fullme();
    \core\session\manager::start();
}

// maintenance.php --enablelater: the first script or request after that time enables the maintenance page.
if (!empty($CFG->maintenance_later) && $CFG->maintenance_later <= time()) {
    if (!file_exists($CFG->dataroot . '/climaintenance.html')) enable_cli_maintenance_mode();
    unset_config('maintenance_later');
    if (!CLI_SCRIPT) redirect("{$CFG->wwwroot}/");
}
