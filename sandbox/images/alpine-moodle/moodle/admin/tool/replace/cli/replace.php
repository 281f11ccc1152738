<?php
// Replaces a text in the text columns of the database. It prints each SQL statement.
define('CLI_SCRIPT', true);
require(__DIR__ . '/../../../../config.php');
require_once($CFG->libdir . '/clilib.php');
require_once($CFG->libdir . '/adminlib.php');

[$options, $unrecognized] = cli_get_params(['search' => null, 'replace' => null, 'skiptables' => '', 'shorten' => false, 'non-interactive' => false, 'help' => false], ['h' => 'help']);
cli_reject_unknown($unrecognized);
[$search, $replace] = [$options['search'], $options['replace']];
if ($options['help'] || !is_string($search) || !is_string($replace)) {
    echo "Search and replace text throughout the whole database.\n\nOptions:\n--search=STRING       String to search for.\n--replace=STRING      String to replace with.\n--skiptables=STRING   Skip these tables (comma separated list of tables).\n"
        . "--shorten             Shorten result if necessary.\n--non-interactive     Perform the replacement without confirming.\n-h, --help            Print out this help.\n";
    exit(0);
}
if (!$DB->replace_all_text_supported()) cli_error(get_string('notimplemented', 'tool_replace'));
if (!$options['shorten'] && mb_strlen($search, 'UTF-8') < mb_strlen($replace, 'UTF-8')) cli_error(get_string('cannotfit', 'tool_replace'));
if (!mb_check_encoding([$search, $replace, (string)$options['skiptables']], 'UTF-8')) cli_error(get_string('invalidcharacter', 'tool_replace'));
if (!$options['non-interactive']) {
    echo get_string('excludedtables', 'tool_replace') . "\n\n" . get_string('notsupported', 'tool_replace') . "\n\n";
    if (cli_input('type y (means yes) or n (means no)', '', ['n', 'y']) === 'n') exit(1);
}
if (!db_replace($search, $replace, (string)$options['skiptables'])) {
    cli_heading(get_string('error'));
    exit(1);
}
cli_heading(get_string('success'));
exit(0);
