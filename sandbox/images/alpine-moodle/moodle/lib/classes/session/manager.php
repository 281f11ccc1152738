<?php
namespace core\session;

// Who asks: a session in files below the data folder, named by the cookie MoodleSession.
class manager {
    public static function start() {
        global $CFG, $USER, $SESSION, $DB;
        $folder = $CFG->dataroot . '/sessions';
        if (!is_dir($folder)) @mkdir($folder, 0770, true);
        $root = parse_url($CFG->wwwroot);
        session_name('MoodleSession' . ($CFG->sessioncookie ?? ''));
        session_save_path($folder);
        session_set_cookie_params(['path' => ($root['path'] ?? '') . '/', 'httponly' => true, 'secure' => $root['scheme'] === 'https']);
        ini_set('session.use_strict_mode', '1');
        session_start();
        $_SESSION['SESSION'] ??= new \stdClass();
        $SESSION = $_SESSION['SESSION'];
        if (!empty($_SESSION['USERID']) && $user = $DB->get_record('user', ['id' => $_SESSION['USERID'], 'deleted' => 0, 'suspended' => 0])) {
            self::set_user($user);
        }
    }
    public static function set_user($user) {
        global $USER;
        $USER = clone $user;
        unset($USER->password);
        if (!CLI_SCRIPT && session_status() === PHP_SESSION_ACTIVE) $_SESSION['USERID'] = $user->id;
    }
    public static function init_empty_session($newsession = null) {
        global $USER;
        $USER = (object)['id' => 0, 'username' => '', 'mnethostid' => 1];
    }
    public static function login_user($user) {
        session_regenerate_id(true);
        self::set_user($user);
    }
    public static function terminate_current() {
        global $SESSION;
        if (!CLI_SCRIPT) {
            $_SESSION = ['SESSION' => new \stdClass()];
            session_regenerate_id(true);
            $SESSION = $_SESSION['SESSION'];
        }
        self::init_empty_session();
    }
    public static function is_loggedinas() { return false; }
    public static function get_realuser() { global $USER; return $USER; }
    public static function write_close() { if (session_status() === PHP_SESSION_ACTIVE) session_write_close(); }
    public static function gc() {}
    public static function get_login_token() { return $_SESSION['SESSION']->logintoken ??= random_string(32); }
    public static function validate_login_token($token) {
        $known = $_SESSION['SESSION']->logintoken ?? null;
        unset($_SESSION['SESSION']->logintoken);
        return $known !== null && hash_equals($known, (string)$token);
    }
}
