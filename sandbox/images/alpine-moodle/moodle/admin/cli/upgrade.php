<?php
// Migrates the database to the version of the code, and installs and upgrades the plugins on the disk.
define('CLI_SCRIPT', true);
define('CLI_UPGRADE_RUNNING', true);
require(__DIR__ . '/../../config.php');
require_once($CFG->libdir . '/clilib.php');
require_once($CFG->libdir . '/upgradelib.php');

[$options, $unrecognized] = cli_get_params(['non-interactive' => false, 'allow-unstable' => false, 'help' => false, 'lang' => 'en', 'verbose-settings' => false, 'is-pending' => false, 'maintenance' => true, 'set-ui-upgrade-lock' => false, 'unset-ui-upgrade-lock' => false], ['h' => 'help']);
cli_reject_unknown($unrecognized);
if ($options['help']) {
    echo "Command line Moodle upgrade.\n";
    exit(0);
}
if (empty($CFG->version)) cli_error('Config table does not contain version, cannot continue, sorry.');
if (!empty($CFG->upgraderunning) && $CFG->upgraderunning > time()) throw new moodle_exception('upgraderunning', 'error');

include("{$CFG->dirroot}/version.php");
if ($version < $CFG->version) cli_error(get_string('downgradedcore', 'error'));
foreach (core_component::get_all_plugins() as $folder) core_component::read_version($folder); // a faulty plugin ends the upgrade here

if ($options['is-pending']) {
    if (moodle_needs_upgrading()) {
        cli_writeln('An upgrade is pending');
        exit(2);
    }
    exit(0);
}
if (!moodle_needs_upgrading()) cli_error(get_string('cliupgradenoneed', 'core_admin', "$release ($version)"), 0);
check_php_settings();

$manager = core_plugin_manager::instance();
$failed = [];
foreach (core_component::get_all_plugins() as $component => $folder) {
    $problems = $manager->get_plugin_info($component)->problems($version, (int)$branch);
    if ($problems) $failed[$component] = $problems;
}
if ($failed) {
    foreach ($failed as $component => $problems) cli_problem("Dependencies check failed for $component" . ': ' . implode(', ', $problems));
    cli_error('You must solve all the plugin requirements before proceeding with this Moodle installation!');
}
if (!$options['non-interactive']) cli_error('Only --non-interactive upgrades are possible here.');

$oldversion = "{$CFG->release} ({$CFG->version})";
upgrade_set_timeout();
if ($version > $CFG->version) upgrade_core($version);
set_config('release', $release);
set_config('branch', $branch);
contract_hold('upgrade');
contract_pause('CONTRACT_UPGRADE_SECONDS', 0.5);
foreach (core_component::get_all_plugins() as $component => $folder) upgrade_plugin($component, $folder);
contract_pause('CONTRACT_UPGRADE_SECONDS', 0.5);
set_config('allversionshash', core_component::get_all_versions_hash());

cli_heading('Setting new default values');
foreach (core_component::get_all_plugins() as $component => $folder) admin_apply_default_settings_of($component, true);
unset_config('upgraderunning');
purge_all_caches();
echo "Command line upgrade from $oldversion to $release ($version) completed successfully.\n";
exit(0);
