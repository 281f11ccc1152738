<?php
// Settings, users and passwords, texts, logs: the functions that scripts call most.
defined('MOODLE_INTERNAL') || die();

const AUTH_PASSWORD_NOT_CACHED = 'not cached';

function get_config($plugin, $name = null) {
    global $CFG, $DB;
    if (empty($plugin) || $plugin === 'moodle' || $plugin === 'core') {
        $forced = $CFG->config_php_settings;
        $table = 'config';
        $where = [];
    } else {
        $forced = $CFG->forced_plugin_settings[$plugin] ?? [];
        $table = 'config_plugins';
        $where = ['plugin' => $plugin];
    }
    // A process reads the settings of a plugin once. One that runs for minutes, such as the cron, does not see later changes.
    $values = $CFG->settings_read[$plugin] ??= $DB->get_records_menu($table, $where, '', 'name, value');
    if (!is_null($name)) {
        if (array_key_exists($name, $forced)) return is_array($forced[$name]) || is_object($forced[$name]) ? false : (string)$forced[$name];
        return $values[$name] ?? false;
    }
    foreach ($forced as $key => $value) {
        if (is_null($value) || is_array($value) || is_object($value)) unset($values[$key]);
        else $values[$key] = (string)$value;
    }
    return (object)$values;
}

function set_config($name, $value, $plugin = null) {
    global $CFG, $DB;
    if (empty($plugin) || $plugin === 'core') {
        if (!array_key_exists($name, $CFG->config_php_settings)) {
            if (is_null($value)) unset($CFG->$name);
            else $CFG->$name = (string)(is_bool($value) ? (int)$value : $value);
        }
        [$table, $where] = ['config', ['name' => $name]];
    } else {
        [$table, $where] = ['config_plugins', ['plugin' => $plugin, 'name' => $name]];
    }
    unset($CFG->settings_read);
    if (is_null($value)) return $DB->delete_records($table, $where);
    $value = (string)(is_bool($value) ? (int)$value : $value);
    $names = array_keys($where);
    // Two processes may set the same one for the first time.
    $DB->execute('INSERT INTO {' . $table . '} (' . implode(', ', $names) . ', value) VALUES (' . str_repeat('?, ', count($names)) . '?) ON CONFLICT (' . implode(', ', $names) . ') DO UPDATE SET value = EXCLUDED.value', [...array_values($where), $value]);
    return true;
}
function unset_config($name, $plugin = null) { set_config($name, null, $plugin); return true; }
function unset_all_config_for_plugin($plugin) { global $DB; $DB->delete_records('config_plugins', ['plugin' => $plugin]); return true; }

function during_initial_install() { global $CFG; return empty($CFG->rolesactive); }

function moodle_needs_upgrading($checkupgradeflag = true) {
    global $CFG;
    if (empty($CFG->version)) return true;
    if (empty($CFG->allversionshash)) return true;
    return core_component::get_all_versions_hash() !== $CFG->allversionshash;
}

// It also ends every running cron after its current task.
function purge_all_caches() {
    clearstatcache();
    if (function_exists('opcache_reset')) @opcache_reset();
    \core\task\manager::clear_static_caches();
}
function purge_caches($options = []) { purge_all_caches(); }

// Texts, of core below, of a plugin in its lang/en.
function get_string($identifier, $component = '', $a = null, $lazyload = false) {
    static $cache = [];
    global $CFG;
    $component = $component === '' ? 'moodle' : $component;
    if (!isset($cache[$component])) {
        $string = [];
        $folder = strpos($component, '_') && strpos($component, 'core_') !== 0 ? core_component::get_component_directory($component) : null;
        if ($folder && is_file("$folder/lang/en/$component.php")) include("$folder/lang/en/$component.php");
        if (!$folder) include(__DIR__ . '/strings.php');
        $cache[$component] = $string;
    }
    $text = $cache[$component][$identifier] ?? "[[$identifier]]";
    if (is_array($a)) $a = (object)$a;
    if (is_object($a)) {
        foreach (get_object_vars($a) as $key => $value) if (is_scalar($value)) $text = str_replace("{\$a->$key}", (string)$value, $text);
    } else if (!is_null($a)) {
        $text = str_replace('{$a}', (string)$a, $text);
    }
    return $text;
}
function get_html_lang($dir = false) { return 'dir="ltr" lang="en" xml:lang="en"'; }
function current_language() { return 'en'; }
function userdate($date, $format = '', $timezone = 99) { return gmdate('l, j F Y, g:i A', (int)$date); }

function debugging($message = '', $level = DEBUG_NORMAL, $backtrace = null) {
    global $CFG;
    if (((int)($CFG->debug ?? 0) & $level) !== $level) return false;
    if ($message === '') return true;
    if (CLI_SCRIPT) echo "++ $message ++\n";
    else if (!empty($CFG->debugdisplay)) echo '<div class="notifytiny debuggingmessage">' . s((string)$message) . '</div>';
    else error_log('Debugging: ' . $message);
    return true;
}
function mtrace($string, $eol = "\n", $sleep = 0) {
    echo $string . $eol;
    if (!CLI_SCRIPT) flush();
    if ($sleep) sleep($sleep);
}
function format_float($float, $decimals = 1) { return number_format($float, $decimals); }
function format_time($seconds) {
    $parts = [];
    foreach (['day' => DAYSECS, 'hour' => HOURSECS, 'min' => MINSECS, 'sec' => 1] as $unit => $length) {
        if ($number = intdiv(abs((int)$seconds), $length)) $parts[] = "$number $unit" . ($number === 1 ? '' : 's');
        $seconds = abs((int)$seconds) % $length;
    }
    return implode(' ', array_slice($parts, 0, 2)) ?: 'now';
}
function display_size($size) { return round($size / 1048576, 1) . ' MB'; }
function random_string($length = 15) {
    $pool = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
    $text = '';
    while (strlen($text) < $length) $text .= $pool[random_int(0, strlen($pool) - 1)];
    return $text;
}
function clean_param($param, $type) { return $param; }
function validate_email($address) { return (bool)filter_var($address, FILTER_VALIDATE_EMAIL); }
function getremoteaddr($default = '0.0.0.0') { return $_SERVER['REMOTE_ADDR'] ?? $default; }
function email_to_user($user, $from, $subject, $messagetext, $messagehtml = '') { return true; }

define('PARAM_INT', 'int');
define('PARAM_TEXT', 'text');
define('PARAM_RAW', 'raw');
define('PARAM_URL', 'url');
define('PARAM_BOOL', 'bool');
define('PARAM_ALPHANUM', 'alphanum');
function optional_param($name, $default, $type = PARAM_RAW) {
    $value = $_POST[$name] ?? $_GET[$name] ?? $default;
    return $type === PARAM_INT && !is_null($value) ? (int)$value : $value;
}
function required_param($name, $type = PARAM_RAW) {
    if (!isset($_POST[$name]) && !isset($_GET[$name])) throw new moodle_exception('missingparam', '', '', $name);
    return optional_param($name, null, $type);
}

// Users.
function fullname($user, $override = false) { return trim(($user->firstname ?? '') . ' ' . ($user->lastname ?? '')); }
function get_complete_user_data($field, $value, $mnethostid = null) {
    global $DB;
    $user = $DB->get_record('user', [$field => $value, 'deleted' => 0]);
    if ($user) $user->preference = [];
    return $user;
}
function isloggedin() { global $USER; return !empty($USER->id); }
function isguestuser($user = null) {
    global $USER, $CFG;
    $id = is_null($user) ? ($USER->id ?? 0) : (is_object($user) ? $user->id : $user);
    return !empty($CFG->siteguest) && $id == $CFG->siteguest;
}
function hash_internal_user_password($password, $fasthash = false, $pepperlength = 0) {
    return crypt($password, '$6$rounds=' . ($fasthash ? 5000 : 10000) . '$' . random_string(16) . '$');
}
function validate_internal_user_password($user, $password) {
    return $user->password !== '' && $user->password !== AUTH_PASSWORD_NOT_CACHED && password_verify($password, $user->password);
}
function update_internal_user_password($user, $password, $fasthash = false) {
    global $DB;
    $user->password = hash_internal_user_password($password, $fasthash);
    $DB->set_field('user', 'password', $user->password, ['id' => $user->id]);
    \core\event\user_password_updated::create(['context' => context_user::instance($user->id), 'relateduserid' => $user->id, 'objectid' => $user->id])->trigger();
    return true;
}
function check_password_policy($password, &$errmsg, $user = null) {
    $faults = [];
    if (strlen($password) < 8) $faults[] = 'Passwords must be at least 8 characters long.';
    if (!preg_match('/[0-9]/', $password)) $faults[] = 'The password must have at least 1 digit(s).';
    if (!preg_match('/[a-z]/', $password)) $faults[] = 'The password must have at least 1 lower case letter(s).';
    if (!preg_match('/[A-Z]/', $password)) $faults[] = 'The password must have at least 1 upper case letter(s).';
    if (!preg_match('/[^a-zA-Z0-9]/', $password)) $faults[] = 'The password must have at least 1 special character(s) such as *, -, or #.';
    $errmsg = implode("\n", $faults);
    return !$faults;
}
function create_user_record($username, $password, $auth = 'manual') {
    global $DB;
    $id = $DB->insert_record('user', (object)['auth' => $auth, 'confirmed' => 1, 'mnethostid' => 1, 'username' => $username, 'password' => hash_internal_user_password($password), 'timecreated' => time(), 'timemodified' => time()]);
    return get_complete_user_data('id', $id);
}
function authenticate_user_login($username, $password, $ignorelockout = false, &$failurereason = null) {
    global $DB;
    $user = $DB->get_record('user', ['username' => strtolower($username), 'deleted' => 0, 'suspended' => 0]);
    if ($user && validate_internal_user_password($user, $password)) return $user;
    \core\event\user_login_failed::create(['context' => context_system::instance(), 'userid' => $user->id ?? 0, 'other' => ['username' => $username, 'reason' => $user ? 3 : 1]])->trigger();
    return false;
}
function complete_user_login($user) {
    global $DB, $USER;
    \core\session\manager::login_user($user);
    $DB->update_record('user', (object)['id' => $user->id, 'lastlogin' => $user->currentlogin, 'currentlogin' => time(), 'lastaccess' => time(), 'lastip' => getremoteaddr()]);
    \core\event\user_loggedin::create(['userid' => $USER->id, 'objectid' => $USER->id, 'context' => context_system::instance(), 'other' => ['username' => $USER->username]])->trigger();
    return $USER;
}
function require_logout() {
    global $USER;
    if (!isloggedin()) { \core\session\manager::terminate_current(); return; }
    $event = \core\event\user_loggedout::create(['userid' => $USER->id, 'objectid' => $USER->id, 'context' => context_system::instance(), 'other' => ['sessionid' => session_id()]]);
    \core\session\manager::terminate_current();
    $event->trigger();
}
function sesskey() {
    if (CLI_SCRIPT) { static $key; return $key ??= random_string(10); }
    return $_SESSION['SESSION']->sesskey ??= random_string(10);
}
function confirm_sesskey($sesskey = null) { return hash_equals(sesskey(), (string)($sesskey ?? optional_param('sesskey', ''))); }

function require_login($courseorid = null, $autologinguest = true, $cm = null) {
    global $CFG, $SESSION, $FULLME, $USER, $DB;
    redirect_if_major_upgrade_required();
    if (!isloggedin()) {
        $SESSION->wantsurl = $FULLME;
        redirect(get_login_url());
    }
    if (!empty($CFG->maintenance_enabled) && !is_siteadmin()) print_maintenance_message();
    if (!$courseorid) return;
    $course = is_object($courseorid) ? $courseorid : get_course($courseorid);
    if ($course->id == SITEID || is_siteadmin() || is_enrolled(context_course::instance($course->id), $USER)) return;
    $SESSION->wantsurl = $FULLME;
    redirect("{$CFG->wwwroot}/enrol/index.php?id={$course->id}");
}
function get_login_url() { global $CFG; return "{$CFG->wwwroot}/login/index.php"; }
function redirect_if_major_upgrade_required() {
    global $CFG;
    if (empty($CFG->version) || (float)$CFG->version < 2024010400.00 || during_initial_install()) redirect("{$CFG->wwwroot}/{$CFG->admin}/index.php");
}

function get_file_storage() {
    global $CFG;
    static $storage = null;
    require_once("{$CFG->libdir}/filestorage/file_storage.php");
    return $storage ??= new file_storage();
}
function get_log_manager($forcereload = false) {
    static $singleton = null;
    if ($singleton && $forcereload) {
        $singleton->dispose();
        $singleton = null;
    }
    if (!$singleton) {
        $singleton = new \tool_log\log\manager();
        core_shutdown_manager::register_function([$singleton, 'dispose']);
    }
    return $singleton;
}
