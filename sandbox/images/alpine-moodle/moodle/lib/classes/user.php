<?php
defined('MOODLE_INTERNAL') || die();

class core_user {
    const NOREPLY_USER = -10;
    const SUPPORT_USER = -20;
    public static function get_user($userid, $fields = '*', $strictness = IGNORE_MISSING) {
        global $DB;
        return $DB->get_record('user', ['id' => $userid], $fields, $strictness);
    }
    public static function get_user_by_username($username, $fields = '*', $mnethostid = null, $strictness = IGNORE_MISSING) {
        global $DB;
        return $DB->get_record('user', ['username' => $username], $fields, $strictness);
    }
    public static function get_noreply_user() {
        return (object)['id' => self::NOREPLY_USER, 'username' => 'noreply', 'email' => 'noreply@localhost', 'firstname' => 'Do not reply', 'lastname' => ''];
    }
    public static function get_support_user() { return get_admin(); }
    public static function is_real_user($userid, $checkdb = false) { return $userid > 0; }
}
