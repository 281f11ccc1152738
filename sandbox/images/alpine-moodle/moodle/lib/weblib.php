<?php
// Small pages, with the markers that probes and tests look for.
defined('MOODLE_INTERNAL') || die();

function s($text, $addbreaks = false) { return htmlspecialchars((string)$text, ENT_QUOTES | ENT_SUBSTITUTE); }
function format_string($text, $striplinks = true, $options = null) { return s($text); }
function html_to_text($html, $width = 75, $dolinks = true) { return strip_tags($html); }

class moodle_url {
    private $url;
    public function __construct($url, ?array $params = null) {
        global $CFG;
        $this->url = ($url[0] ?? '') === '/' ? $CFG->wwwroot . $url : (string)$url;
        if ($params) $this->url .= (strpos($this->url, '?') ? '&' : '?') . http_build_query($params);
    }
    public function out($escaped = true) { return $escaped ? s($this->url) : $this->url; }
    public function __toString() { return $this->out(false); }
}

function page($id, $title, $content) {
    global $SITE, $CFG, $USER;
    if (!headers_sent()) {
        header('Content-Type: text/html; charset=utf-8');
        header('Cache-Control: no-store, no-cache, must-revalidate');
    }
    $user = isloggedin() ? '<div class="usermenu">' . s(fullname($USER)) . " <a href=\"{$CFG->wwwroot}/login/logout.php?sesskey=" . sesskey() . '">Log out</a></div>' : '';
    // without this link a browser requests /favicon.ico, and the response sets the cookie of another session
    echo "<!DOCTYPE html>\n<html " . get_html_lang() . ">\n<head>\n<title>" . s($title) . ' | ' . s($SITE->shortname) . "</title>\n<link rel=\"shortcut icon\" href=\"data:,\">\n<meta charset=\"utf-8\">\n</head>\n"
        . "<body  id=\"$id\" class=\"format-site\">\n$user<div id=\"page\">\n$content\n</div>\n<script>M.cfg = {\"wwwroot\":" . json_encode($CFG->wwwroot) . ',"sesskey":"' . sesskey() . "\"};</script>\n</body>\n</html>\n";
}
