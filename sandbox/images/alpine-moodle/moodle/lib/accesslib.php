<?php
// Contexts, administrators, enrolment: as much as is needed to say who may see a course.
defined('MOODLE_INTERNAL') || die();

abstract class context {
    public $id, $contextlevel, $instanceid, $path, $depth, $locked = 0;
    const CLASSES = [CONTEXT_SYSTEM => 'context_system', CONTEXT_USER => 'context_user', CONTEXT_COURSECAT => 'context_coursecat', CONTEXT_COURSE => 'context_course', CONTEXT_MODULE => 'context_module'];

    protected static function fetch($level, $instanceid, $strictness = MUST_EXIST) {
        global $DB;
        $record = $DB->get_record('context', ['contextlevel' => $level, 'instanceid' => $instanceid]);
        if (!$record) {
            if (!static::parent_of($instanceid, $strictness, $parent)) return false;
            // Two requests may be the first to ask.
            $where = ['contextlevel' => $level, 'instanceid' => $instanceid];
            $DB->execute('INSERT INTO {context} (contextlevel, instanceid, depth) VALUES (?, ?, ?) ON CONFLICT (contextlevel, instanceid) DO NOTHING', [$level, $instanceid, $parent ? $parent->depth + 1 : 1]);
            $id = $DB->get_field('context', 'id', $where);
            $DB->set_field('context', 'path', ($parent ? $parent->path : '') . "/$id", ['id' => $id]);
            $record = $DB->get_record('context', $where);
        }
        return self::from_record($record);
    }
    protected static function parent_of($instanceid, $strictness, &$parent) { $parent = context_system::instance(); return true; }
    private static function from_record($record) {
        $class = self::CLASSES[$record->contextlevel];
        $context = new $class();
        foreach (get_object_vars($record) as $name => $value) $context->$name = $value;
        return $context;
    }
    public static function instance_by_id($id, $strictness = MUST_EXIST) {
        global $DB;
        $record = $DB->get_record('context', ['id' => $id], '*', $strictness);
        return $record ? self::from_record($record) : false;
    }
    public function get_parent_context_ids($includeself = false) {
        $ids = array_reverse(array_filter(explode('/', $this->path)));
        if (!$includeself) array_shift($ids);
        return $ids;
    }
    public function get_course_context($strict = true) {
        for ($context = $this; $context; $context = ($ids = $context->get_parent_context_ids()) ? self::instance_by_id($ids[0]) : null) {
            if ($context->contextlevel == CONTEXT_COURSE) return $context;
        }
        if ($strict) throw new coding_exception('Context does not belong to any course.');
        return false;
    }
    public function get_context_name($withprefix = true) { return get_class($this) . ' ' . $this->instanceid; }
}
class context_system extends context {
    public static function instance($instanceid = 0, $strictness = MUST_EXIST, $cache = true) { return self::fetch(CONTEXT_SYSTEM, 0); }
    protected static function parent_of($instanceid, $strictness, &$parent) { $parent = null; return true; }
}
class context_user extends context {
    public static function instance($userid, $strictness = MUST_EXIST) { return self::fetch(CONTEXT_USER, $userid, $strictness); }
    protected static function parent_of($id, $strictness, &$parent) {
        global $DB;
        $parent = context_system::instance();
        return (bool)$DB->get_record('user', ['id' => $id, 'deleted' => 0], 'id', $strictness);
    }
}
class context_coursecat extends context {
    public static function instance($id, $strictness = MUST_EXIST) { return self::fetch(CONTEXT_COURSECAT, $id, $strictness); }
    protected static function parent_of($id, $strictness, &$parent) {
        global $DB;
        $parent = context_system::instance();
        return (bool)$DB->get_record('course_categories', ['id' => $id], 'id', $strictness);
    }
}
class context_course extends context {
    public static function instance($courseid, $strictness = MUST_EXIST) { return self::fetch(CONTEXT_COURSE, $courseid, $strictness); }
    protected static function parent_of($id, $strictness, &$parent) {
        global $DB;
        $course = $DB->get_record('course', ['id' => $id], 'id, category', $strictness);
        if ($course) $parent = $course->category ? context_coursecat::instance($course->category) : context_system::instance();
        return (bool)$course;
    }
}
class context_module extends context {
    public static function instance($cmid, $strictness = MUST_EXIST) { return self::fetch(CONTEXT_MODULE, $cmid, $strictness); }
    protected static function parent_of($id, $strictness, &$parent) {
        global $DB;
        $module = $DB->get_record('course_modules', ['id' => $id], 'id, course', $strictness);
        if ($module) $parent = context_course::instance($module->course);
        return (bool)$module;
    }
}

function get_admins() {
    global $CFG, $DB;
    if (empty($CFG->siteadmins)) return [];
    $admins = [];
    foreach (explode(',', $CFG->siteadmins) as $id) {
        if ($user = $DB->get_record('user', ['id' => (int)$id, 'deleted' => 0])) $admins[$user->id] = $user;
    }
    return $admins;
}
function get_admin() {
    $admins = get_admins();
    return $admins ? reset($admins) : false;
}
function is_siteadmin($user = null) {
    global $CFG, $USER;
    $id = is_null($user) ? ($USER->id ?? 0) : (is_object($user) ? $user->id : $user);
    return $id && in_array((string)$id, explode(',', $CFG->siteadmins ?? ''), true);
}
function has_capability($capability, context $context, $user = null, $doanything = true) { return is_siteadmin($user); }
function require_capability($capability, context $context, $userid = null) {
    if (!has_capability($capability, $context, $userid)) throw new moodle_exception('nopermissions', 'error');
}

function is_enrolled(context $context, $user = null, $withcapability = '', $onlyactive = false) {
    global $DB, $USER;
    $course = $context->get_course_context();
    if ($course->instanceid == SITEID) return true;
    $userid = is_null($user) ? $USER->id : (is_object($user) ? $user->id : $user);
    if (empty($userid) || isguestuser($userid)) return false;
    $now = time();
    return $DB->record_exists_sql('SELECT 1 FROM {user_enrolments} ue JOIN {enrol} e ON e.id = ue.enrolid JOIN {user} u ON u.id = ue.userid WHERE ue.userid = ? AND e.courseid = ? AND u.deleted = 0'
        . ($onlyactive ? " AND ue.status = 0 AND e.status = 0 AND ue.timestart < $now AND (ue.timeend = 0 OR ue.timeend > $now)" : ''), [$userid, $course->instanceid]);
}
function get_enrolled_users(context $context, $withcapability = '', $groupids = 0, $userfields = 'u.*', $orderby = null, $limitfrom = 0, $limitnum = 0, $onlyactive = false) {
    global $DB;
    return $DB->get_records_sql("SELECT DISTINCT $userfields FROM {user} u JOIN {user_enrolments} ue ON ue.userid = u.id JOIN {enrol} e ON e.id = ue.enrolid WHERE e.courseid = ? AND u.deleted = 0 ORDER BY " . ($orderby ?: 'u.id'), [$context->instanceid], $limitfrom, $limitnum);
}
