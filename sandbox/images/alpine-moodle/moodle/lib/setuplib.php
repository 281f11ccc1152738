<?php
// Constants, exceptions, the end of a script, and the settings in mdl_config.
defined('MOODLE_INTERNAL') || die();

define('DEBUG_NONE', 0);
define('DEBUG_MINIMAL', E_ERROR | E_PARSE);
define('DEBUG_NORMAL', E_ERROR | E_PARSE | E_WARNING | E_NOTICE);
define('DEBUG_ALL', E_ALL & ~E_STRICT);
define('DEBUG_DEVELOPER', E_ALL | E_STRICT);
define('MATURITY_STABLE', 200);
define('ANY_VERSION', 'any');
define('SITEID', 1);
define('IGNORE_MISSING', 0);
define('IGNORE_MULTIPLE', 1);
define('MUST_EXIST', 2);
define('MINSECS', 60);
define('HOURSECS', 3600);
define('DAYSECS', 86400);
define('CONTEXT_SYSTEM', 10);
define('CONTEXT_USER', 30);
define('CONTEXT_COURSECAT', 40);
define('CONTEXT_COURSE', 50);
define('CONTEXT_MODULE', 70);

class moodle_exception extends Exception {
    public $errorcode, $module, $link, $a, $debuginfo;
    public function __construct($errorcode, $module = '', $link = '', $a = null, $debuginfo = null) {
        $this->errorcode = $errorcode;
        $this->module = $module ?: 'error';
        $this->link = $link;
        $this->a = $a;
        $this->debuginfo = is_null($debuginfo) ? null : (string)$debuginfo;
        $text = get_string($errorcode, $this->module === 'moodle' ? 'error' : $this->module, $a);
        if ($text === "[[$errorcode]]") $text = "{$this->module}/$errorcode";
        parent::__construct($text, 0);
    }
}
class coding_exception extends moodle_exception {
    public function __construct($hint, $debuginfo = null) { parent::__construct('codingerror', 'debug', '', $hint, $debuginfo); }
}
class dml_exception extends moodle_exception {
    public function __construct($errorcode, $a = null, $debuginfo = null) { parent::__construct($errorcode, '', '', $a, $debuginfo); }
}
class dml_connection_exception extends dml_exception {
    public function __construct($error) { parent::__construct('dbconnectionfailed', null, $error); }
}
class dml_read_exception extends dml_exception {
    public $error, $sql, $params;
    public function __construct($error, $sql = null, $params = null) {
        [$this->error, $this->sql, $this->params] = [$error, $sql, $params];
        parent::__construct('dmlreadexception', null, "$error\n$sql\n[" . var_export($params, true) . ']');
    }
}
class dml_write_exception extends dml_exception {
    public $error, $sql, $params;
    public function __construct($error, $sql = null, $params = null) {
        [$this->error, $this->sql, $this->params] = [$error, $sql, $params];
        parent::__construct('dmlwriteexception', null, "$error\n$sql\n[" . var_export($params, true) . ']');
    }
}
class dml_multiple_records_exception extends dml_exception {
    public function __construct($sql = '', $params = null) { parent::__construct('multiplerecordsfound', null, "$sql\n" . var_export($params, true)); }
}
class dml_missing_record_exception extends dml_exception {
    public $tablename;
    public function __construct($tablename, $sql = '', $params = null) {
        $this->tablename = $tablename;
        parent::__construct($tablename ? 'invalidrecord' : 'invalidrecordunknown', $tablename, "$sql\n" . var_export($params, true));
    }
}
class dml_transaction_exception extends dml_exception {
    public function __construct($debuginfo = null) { parent::__construct('dmltransactionexception', null, $debuginfo); }
}
class ddl_exception extends moodle_exception {
    public function __construct($errorcode, $a = null, $debuginfo = null) { parent::__construct($errorcode, '', '', $a, $debuginfo); }
}
class require_login_exception extends moodle_exception {
    public function __construct($debuginfo) { parent::__construct('requireloginerror', 'error', '', null, $debuginfo); }
}

function default_exception_handler(Throwable $e) {
    global $CFG, $DB;
    if (!empty($DB) && $DB->is_transaction_started()) $DB->force_transaction_rollback();
    $text = $e instanceof moodle_exception ? $e->getMessage() : 'Exception - ' . $e->getMessage();
    $debug = (int)($CFG->debug ?? 0) >= DEBUG_ALL;
    if ($e instanceof dml_connection_exception) {
        $text = "<p>Error: Database connection failed</p>\n<p>It is possible that the database is overloaded or otherwise not running properly.</p>\n"
            . "<p>The site administrator should also check that the database details have been correctly specified in config.php</p>";
    }
    if (CLI_SCRIPT) {
        echo "!!! $text !!!\n";
        if ($debug) echo "!! " . ($e->debuginfo ?? '') . "\nError code: " . ($e->errorcode ?? 'generalexceptionmessage') . " !!\n!! Stack trace: " . $e->getTraceAsString() . " !!\n";
        exit(1);
    }
    if (!headers_sent()) send_status(in_array($e->errorcode ?? '', ['invalidrecord', 'invalidrecordunknown', 'invalidcourseid', 'invalidcoursemodule']) ? 404 : 500);
    echo "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Error</title></head><body id=\"page-error\"><div class=\"box errorbox\"><p class=\"errormessage\">$text</p></div></body></html>\n";
    if ($debug) error_log('Default exception handler: ' . $e->getMessage() . ' ' . ($e->debuginfo ?? '') . "\n" . $e->getTraceAsString());
    exit(1);
}

function send_status(int $code) {
    if (!headers_sent()) {
        http_response_code($code);
        header('Content-Type: text/html; charset=utf-8');
        header('Cache-Control: no-store, no-cache, must-revalidate');
    }
}

// What has to happen when a script ends, however it ends: first of all, logs are written.
class core_shutdown_manager {
    private static $callbacks = [];
    public static function register_function($callback, array $params = []) { self::$callbacks[] = [$callback, $params]; }
    public static function handle_signals() {
        if (!function_exists('pcntl_async_signals')) return;
        pcntl_async_signals(true);
        foreach ([SIGINT, SIGTERM] as $signal) pcntl_signal($signal, function ($number) { exit(128 + $number); });
    }
    public static function run() {
        while (self::$callbacks) {
            [$callback, $params] = array_shift(self::$callbacks);
            try {
                call_user_func_array($callback, $params);
            } catch (Throwable $e) {
                error_log('Exception ignored in shutdown function: ' . $e->getMessage());
            }
        }
    }
}

function initialise_cfg() {
    global $CFG, $DB;
    try {
        $rows = $DB->get_records_menu('config', [], '', 'name, value');
    } catch (dml_read_exception $e) {
        return; // no tables yet
    }
    foreach ($rows as $name => $value) {
        if (!array_key_exists($name, $CFG->config_php_settings)) $CFG->$name = $value;
    }
}

// Where the site is reached. Every other name is sent to wwwroot, so that there is one address.
function initialise_fullme() {
    global $CFG, $FULLME, $ME;
    if (substr($CFG->wwwroot, -1) === '/') {
        throw new coding_exception('Detected an incorrect $CFG->wwwroot in setup.php. It must not contain a trailing slash.');
    }
    $root = parse_url($CFG->wwwroot . '/');
    $https = !empty($_SERVER['HTTPS']) && $_SERVER['HTTPS'] !== 'off';
    $asked = parse_url(($https ? 'https://' : 'http://') . ($_SERVER['HTTP_HOST'] ?? ''));
    $ME = $_SERVER['REQUEST_URI'] ?? '/';
    $FULLME = $root['scheme'] . '://' . $root['host'] . (empty($root['port']) ? '' : ':' . $root['port']) . $ME;
    $host = $asked['host'] ?? '';
    // the port of the web server, not the port in the request
    $port = (int)($_SERVER['SERVER_PORT'] ?? ($https ? 443 : 80));
    if ($host === '') {
        return; // no browser
    }
    if (!empty($CFG->reverseproxy)) {
        if ($host === $root['host'] && (empty($root['port']) || $port === $root['port'])) throw new moodle_exception('reverseproxyabused', 'error');
    } else if ($host !== $root['host'] || (!empty($root['port']) && $port !== $root['port']) || strpos($ME, $root['path']) !== 0) {
        redirect($CFG->wwwroot . '/' . ltrim(strpos($ME, $root['path']) === 0 ? substr($ME, strlen($root['path'])) : '', '/'), get_string('wwwrootmismatch', 'error', $CFG->wwwroot));
    }
    if (!empty($CFG->sslproxy)) {
        if ($root['scheme'] !== 'https') throw new coding_exception('Must use https address in wwwroot when ssl proxy enabled!');
    } else if ($root['scheme'] === 'https' && !$https) {
        redirect($CFG->wwwroot, get_string('wwwrootmismatch', 'error', $CFG->wwwroot));
    }
}

function raise_memory_limit($limit) { return true; }

function redirect($url, $message = '', $delay = null) {
    header('X-Redirect-By: Moodle');
    header('Location: ' . $url, true, 303);
    $encoded = htmlspecialchars((string)$url, ENT_QUOTES);
    echo "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Redirect</title></head><body><div>$message</div><div>This page should automatically redirect. If nothing is happening please use the continue link below.<br /><a href=\"$encoded\">Continue</a></div></body></html>\n";
    exit;
}

function plain_page($title, $content) {
    return "<!DOCTYPE html>\n<html " . get_html_lang() . "><head><meta charset=\"utf-8\"><title>" . s($title) . "</title></head><body><div>$content</div></body></html>\n";
}

// Legacy maintenance mode: administrators can still use the site.
function print_maintenance_message() {
    global $CFG, $SITE;
    send_status(503);
    header('Retry-After: 300');
    page('page-maintenance-message', $SITE->fullname, '<h2>' . get_string('sitemaintenance') . '</h2>' . ($CFG->maintenance_message ?? ''));
    exit;
}

function enable_cli_maintenance_mode() {
    global $CFG, $SITE;
    $file = "{$CFG->dataroot}/climaintenance.html";
    $template = "{$CFG->dataroot}/climaintenance.template.html";
    if (!empty($CFG->maintenance_message)) $page = plain_page(get_string('sitemaintenance'), $CFG->maintenance_message);
    else if (is_file($template)) $page = file_get_contents($template);
    else $page = plain_page(get_string('sitemaintenancetitle', '', $SITE->fullname), get_string('sitemaintenance'));
    file_put_contents($file, $page);
    chmod($file, $CFG->filepermissions);
}
