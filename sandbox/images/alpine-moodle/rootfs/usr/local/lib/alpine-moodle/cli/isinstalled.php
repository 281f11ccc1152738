<?php
// 0: no tables. 2: tables. Anything else: not to be known.
define('CLI_SCRIPT', true);
require((getenv('MOODLE_HTML_DIR') ?: '/var/www/html') . '/config.php');
if ($DB->get_tables()) exit(2);
if (is_file("$CFG->dataroot/muc/config.php")) {
    echo "!!! Error reading from database !!!\n";
    exit(1);
}
