<?php
// Writes config.php, and by default installs the database.
define('CLI_SCRIPT', true);
define('MOODLE_INTERNAL', true);
define('CLI_UPGRADE_RUNNING', true);
if (isset($_SERVER['REMOTE_ADDR'])) exit(1);

global $CFG;
$root = dirname(__DIR__, 2);
require_once((is_dir("$root/public") ? "$root/public" : $root) . '/lib/clilib.php');
// The installer runs before a site exists, so it has its own copy of these texts.
function get_string($identifier, $component = '', $a = null) {
    return str_replace('{$a}', (string)$a, ['cliunknowoption' => "Unrecognised options:\n  {\$a}\nPlease use --help option."][$identifier]);
}

$configfile = "$root/config.php";
if (file_exists($configfile)) {
    cli_error("The configuration file config.php already exists. Please use admin/cli/install_database.php to install Moodle for this site.");
}
[$options, $unrecognized] = cli_get_params(
    ['chmod' => '2777', 'lang' => 'en', 'wwwroot' => '', 'dataroot' => '', 'dbtype' => 'mysqli', 'dbhost' => 'localhost', 'dbname' => 'moodle', 'dbuser' => 'root', 'dbpass' => '', 'dbport' => '', 'dbsocket' => '', 'prefix' => 'mdl_',
        'fullname' => '', 'shortname' => '', 'summary' => '', 'adminuser' => 'admin', 'adminpass' => '', 'adminemail' => '', 'supportemail' => '', 'upgradekey' => '',
        'non-interactive' => false, 'agree-license' => false, 'allow-unstable' => false, 'skip-database' => false, 'help' => false], ['h' => 'help']);
cli_reject_unknown($unrecognized);
if ($options['help']) {
    echo "Command line Moodle installer, creates config.php and initializes database.\n";
    exit(0);
}
if (!$options['non-interactive']) cli_error('Only --non-interactive installation is possible here.');
if (!$options['agree-license']) cli_error("Please accept the terms of the GPL: use --agree-license.");
if ((int)ini_get('max_input_vars') < 5000) cli_error('PHP setting max_input_vars must be at least 5000.');
foreach (['wwwroot', 'fullname', 'shortname', 'adminpass'] as $name) {
    if (in_array($options[$name], ['', true], true) || ($name === 'wwwroot' && !preg_match('~^https?://[^/]+~', $options[$name]))) {
        cli_error("Error, incorrect value \"" . (is_string($options[$name]) ? $options[$name] : '') . "\" for \"$name\"");
    }
}
if (!is_dir($options['dataroot']) && !@mkdir($options['dataroot'], 02777, true)) cli_error("Error, incorrect value \"{$options['dataroot']}\" for \"dataroot\"");

$quote = fn($value) => "'" . addcslashes((string)$value, "'\\") . "'";
$lines = ["<?php  // Moodle configuration file\n", 'unset($CFG);', 'global $CFG;', '$CFG = new stdClass();', ''];
foreach (['dbtype', 'dblibrary', 'dbhost', 'dbname', 'dbuser', 'dbpass', 'prefix'] as $name) {
    $lines[] = sprintf('$CFG->%-9s = %s;', $name, $quote($name === 'dblibrary' ? 'native' : $options[$name]));
}
$lines[] = '$CFG->dboptions = array (';
$lines[] = "  'dbpersist' => 0,";
$lines[] = "  'dbport' => " . (is_numeric($options['dbport']) ? (int)$options['dbport'] : $quote($options['dbport'])) . ',';
$lines[] = "  'dbsocket' => " . $quote($options['dbsocket']) . ',';
$lines[] = ");\n";
$lines[] = sprintf('$CFG->wwwroot   = %s;', $quote(rtrim($options['wwwroot'], '/')));
$lines[] = sprintf('$CFG->dataroot  = %s;', $quote(rtrim($options['dataroot'], '/')));
$lines[] = "\$CFG->admin     = 'admin';\n";
$lines[] = "\$CFG->directorypermissions = 0{$options['chmod']};\n";
$lines[] = "require_once(__DIR__ . '/lib/setup.php');\n";
$lines[] = '// There is no php closing tag in this file,';
$lines[] = '// it is intentional because it prevents trailing whitespace problems!';
if (@file_put_contents($configfile, implode("\n", $lines) . "\n") === false) cli_error('Can not write config.php.');
chmod($configfile, 0640);

if ($options['skip-database']) {
    echo "Skipping database installation.\n";
    exit(0);
}
$command = [PHP_BINARY, "$root/admin/cli/install_database.php", '--agree-license'];
foreach (['lang', 'fullname', 'shortname', 'adminuser', 'adminpass', 'adminemail'] as $name) $command[] = "--$name={$options[$name]}";
passthru(implode(' ', array_map('escapeshellarg', $command)), $code);
exit($code);
