<?php
// Starts Moodle for the scripts in this folder. A script reads a JSON object, on one line, from standard input and prints its
// response, a JSON object, as the last line of standard output. Moodle may print other lines before it.
// Moodle requires max_input_vars of at least 5000: call the scripts with `php -d max_input_vars=10000`.

// read before anything can fail: the caller aborts when a script exits before it has read its input
$lastack_text = trim((string)fgets(STDIN));

define('CLI_SCRIPT', true);
require('/var/www/html/config.php');

const LASTACK_PLUGIN = 'logstore_xapi';

/** Prefix of the stored response when the LRS rejected an event that was sent alone. */
const LASTACK_MARK = 'sent alone and rejected: ';

function lastack_input(): stdClass {
    global $lastack_text;
    return $lastack_text === '' ? new stdClass() : json_decode($lastack_text, false, 64, JSON_THROW_ON_ERROR);
}

function lastack_respond(array $response): void {
    echo "\n", json_encode($response, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR), "\n";
}

/** Whether the code of the plugin exists. Moodle also lists a plugin that only the database has. */
function lastack_has_plugin_files(): bool {
    global $CFG;
    return is_readable("$CFG->dirroot/admin/tool/log/store/xapi/lib.php");
}

/** Whether the plugin is installed in the database and its code exists. */
function lastack_has_plugin(): bool {
    global $DB;
    return lastack_has_plugin_files() && get_config(LASTACK_PLUGIN, 'version') && $DB->get_manager()->table_exists('logstore_xapi_log');
}

function lastack_require_plugin(): void {
    global $CFG;
    if (!lastack_has_plugin()) {
        throw new Exception('the plugin logstore_xapi is not installed in this Moodle');
    }
    require_once("$CFG->dirroot/admin/tool/log/store/xapi/lib.php");
}

/** The enabled log stores, in their order. */
function lastack_stores(): array {
    return array_values(array_filter(explode(',', (string)get_config('tool_log', 'enabled_stores'))));
}
