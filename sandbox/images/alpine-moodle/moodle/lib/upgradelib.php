<?php
// Installing and upgrading core and plugins. An installation has the real one's order: tables, version, plugins, rolesactive, and
// last the name of the site.
defined('MOODLE_INTERNAL') || die();
require_once(__DIR__ . '/adminlib.php');

const UPGRADE_TIMEOUT = 300;

// The stand-in is quick. A test that wants to interrupt it asks for seconds by an environment variable.
function contract_pause($variable, $share) {
    $seconds = getenv($variable);
    if (is_numeric($seconds) && $seconds > 0) usleep((int)($seconds * $share * 1e6));
}

// A test that kills the Pod in a phase names the phase in CONTRACT_HOLD. The first process that reaches it waits there to be
// killed, and the next one passes.
function contract_hold($phase) {
    global $CFG;
    if (!in_array($phase, explode(' ', (string)getenv('CONTRACT_HOLD')), true)) return;
    $mark = "{$CFG->dataroot}/contract-held-$phase";
    if (file_exists($mark)) {
        unlink($mark);
        return;
    }
    touch($mark);
    sleep(150);
}

function upgrade_set_timeout($seconds = UPGRADE_TIMEOUT) { set_config('upgraderunning', time() + $seconds); }

function check_php_settings() {
    if ((int)ini_get('max_input_vars') >= 5000) return;
    cli_heading('Environment');
    echo "!! php_setting max_input_vars  - this test must pass !!\n[System] PHP setting max_input_vars must be at least 5000.\n";
    cli_error('Environment problems found, please solve them first.');
}

function install_core($options) {
    global $DB, $CFG;
    include("{$CFG->dirroot}/version.php");
    cli_heading("Moodle $release");
    echo "-->System\n";
    $start = microtime(true);
    $tables = include("{$CFG->libdir}/db/tables.php");
    foreach ($tables as $table => $lines) {
        $DB->get_manager()->create_core_table($table, $lines);
        contract_pause('CONTRACT_INSTALL_SECONDS', 0.2 / count($tables));
        if ($table === 'course') contract_hold('tables');
    }
    set_config('upgraderunning', time() + UPGRADE_TIMEOUT);
    install_core_rows($options);
    set_config('version', $version);
    set_config('release', $release);
    set_config('branch', $branch);
    \core\task\manager::reset_scheduled_tasks_for_component('core');
    contract_pause('CONTRACT_INSTALL_SECONDS', 0.2);
    printf("++ Success (%.2f seconds) ++\n", microtime(true) - $start);
    foreach (core_component::get_all_plugins() as $component => $folder) {
        upgrade_plugin($component, $folder);
        contract_pause('CONTRACT_INSTALL_SECONDS', 0.2 / count(core_component::get_all_plugins()));
    }
    install_stamps();
    set_config('enabled_stores', 'logstore_standard', 'tool_log');
    foreach (['logguests' => 1, 'jsonformat' => 1, 'loglifetime' => 0, 'buffersize' => 50] as $name => $value) set_config($name, $value, 'logstore_standard');
    foreach (core_component::get_all_plugins() as $component => $folder) admin_apply_default_settings_of($component, false);
    set_config('allversionshash', core_component::get_all_versions_hash());
    set_config('rolesactive', 1);
    unset_config('upgraderunning');
    contract_hold('rolesactive');
    contract_pause('CONTRACT_INSTALL_SECONDS', 0.4);
    $DB->set_field('course', 'fullname', $options['fullname'], ['id' => SITEID]);
    // Moodle keeps caches of its database here, and fails with those of another one.
    @mkdir("{$CFG->dataroot}/muc", 0700);
    file_put_contents("{$CFG->dataroot}/muc/config.php", "<?php\n");
}

// The stamps of assignfeedback_editpdf are the first files of a site. These are images of one pixel.
function install_stamps() {
    $chunk = fn($type, $data) => pack('N', strlen($data)) . $type . $data . pack('N', crc32($type . $data));
    foreach (['smile' => "\xff\xff\x00", 'sad' => "\x00\x00\xff", 'tick' => "\x00\xff\x00", 'cross' => "\xff\x00\x00"] as $name => $colour) {
        get_file_storage()->create_file_from_string(['contextid' => context_system::instance()->id, 'component' => 'assignfeedback_editpdf', 'filearea' => 'stamps', 'itemid' => 0, 'filepath' => '/', 'filename' => "$name.png", 'userid' => get_admin()->id],
            "\x89PNG\r\n\x1a\n" . $chunk('IHDR', pack('NNC5', 1, 1, 8, 2, 0, 0, 0)) . $chunk('IDAT', gzcompress("\0$colour")) . $chunk('IEND', ''));
    }
}

function install_core_rows($options) {
    global $DB, $CFG;
    $now = time();
    foreach (['page', 'forum', 'resource'] as $name) $DB->insert_record('modules', (object)['name' => $name]);
    foreach (['manager', 'coursecreator', 'editingteacher', 'teacher', 'student', 'guest', 'user', 'frontpage'] as $order => $name) {
        $DB->insert_record('role', (object)['shortname' => $name, 'description' => '', 'sortorder' => $order + 1, 'archetype' => $name]);
    }
    $DB->insert_record('course_categories', (object)['name' => 'Category 1', 'sortorder' => 10000, 'timemodified' => $now, 'depth' => 1, 'path' => '/1']);
    $DB->insert_record('course', (object)['category' => 0, 'fullname' => '', 'shortname' => $options['shortname'], 'summary' => $options['summary'] ?? '', 'format' => 'site', 'newsitems' => 3, 'timecreated' => $now, 'timemodified' => $now]);
    context_course::instance(SITEID);
    $guest = $DB->insert_record('user', (object)['username' => 'guest', 'password' => hash_internal_user_password('guest'), 'firstname' => 'Guest user', 'lastname' => ' ', 'email' => 'root@localhost', 'description' => 'This user is a special user that allows read-only access to some courses.',
        'confirmed' => 1, 'mnethostid' => 1, 'timecreated' => $now, 'timemodified' => $now]);
    $admin = $DB->insert_record('user', (object)['username' => strtolower($options['adminuser']), 'password' => hash_internal_user_password($options['adminpass']), 'firstname' => 'Admin', 'lastname' => 'User', 'email' => $options['adminemail'] ?: 'root@localhost',
        'confirmed' => 1, 'mnethostid' => 1, 'lang' => $options['lang'] ?? 'en', 'timecreated' => $now, 'timemodified' => $now]);
    $values = ['siteguest' => $guest, 'siteadmins' => $admin, 'siteidentifier' => random_string(32) . parse_url($CFG->wwwroot, PHP_URL_HOST), 'lang' => $options['lang'] ?? 'en', 'debug' => 0, 'debugdisplay' => 0, 'forcelogin' => 0,
        'cron_enabled' => 1, 'task_logmode' => 1, 'mnet_localhost_id' => 1, 'maintenance_enabled' => 0, 'supportemail' => $options['supportemail'] ?? '', 'passwordpolicy' => 1];
    foreach ($values as $name => $value) set_config($name, $value);
}

function upgrade_log($info, $targetversion) {
    global $CFG, $DB;
    $DB->insert_record('upgrade_log', (object)['type' => 0, 'plugin' => 'core', 'version' => $CFG->version, 'targetversion' => $targetversion, 'info' => $info, 'details' => '', 'backtrace' => '', 'userid' => 0, 'timemodified' => time()]);
}

// A killed migration continues after its last savepoint.
function upgrade_main_savepoint($version) {
    upgrade_log('Upgrade savepoint reached', $version);
    set_config('version', $version);
    upgrade_set_timeout();
}

function upgrade_core($version) {
    global $CFG;
    echo "-->System\n";
    $start = microtime(true);
    upgrade_log('Starting core upgrade', $version);
    require_once("{$CFG->libdir}/db/upgrade.php");
    xmldb_main_upgrade((float)$CFG->version, $version);
    upgrade_main_savepoint($version);
    \core\task\manager::reset_scheduled_tasks_for_component('core');
    upgrade_log('Core upgraded', $version);
    printf("++ Success (%.2f seconds) ++\n", microtime(true) - $start);
}

// Installs a plugin that the database does not know, or raises its version.
function upgrade_plugin($component, $folder) {
    global $DB, $CFG;
    $disk = core_component::read_version($folder);
    $installed = get_config($component, 'version');
    if ($installed !== false && (float)$installed >= (float)$disk->version) {
        if ((float)$installed > (float)$disk->version) throw new moodle_exception('cannotdowngrade', 'debug', '', (object)['component' => $component, 'old' => $installed, 'new' => $disk->version]);
        return false;
    }
    echo "-->$component\n";
    $start = microtime(true);
    if ($installed === false) {
        if (is_file("$folder/db/install.xml")) $DB->get_manager()->install_from_xmldb_file("$folder/db/install.xml");
    } else if (is_file("$folder/db/upgrade.php")) {
        require_once("$folder/db/upgrade.php");
        $function = "xmldb_{$component}_upgrade";
        if (function_exists($function)) $function($installed);
    }
    set_config('version', $disk->version, $component);
    \core\task\manager::reset_scheduled_tasks_for_component($component);
    printf("++ Success (%.2f seconds) ++\n", microtime(true) - $start);
    return true;
}
