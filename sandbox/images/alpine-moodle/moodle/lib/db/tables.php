<?php
// The tables of the stand-in, a subset of the real ones with their real columns: `name type[!][=default]`, where
// ! is NOT NULL, int is bigint, cN is varchar(N). Every table has an id.
defined('MOODLE_INTERNAL') || die();

return [
    'config' => ['name c255! =', 'value text!', '~name'],
    'config_plugins' => ['plugin c100! =core', 'name c100! =', 'value text!', '~plugin,name'],
    'config_log' => ['userid int!', 'timemodified int!', 'plugin c100', 'name c100! =', 'value text', 'oldvalue text'],
    'modules' => ['name c20! =', 'cron int! =0', 'lastcron int! =0', 'search c255! =', 'visible int! =1', '-name'],
    'course_categories' => ['name c255! =', 'idnumber c100', 'description text', 'parent int! =0', 'sortorder int! =0', 'coursecount int! =0', 'visible int! =1', 'timemodified int! =0', 'depth int! =0', 'path c255! ='],
    'course' => ['category int! =0', 'sortorder int! =0', 'fullname c254! =', 'shortname c255! =', 'idnumber c100! =', 'summary text', 'summaryformat int! =0', 'format c21! =topics', 'newsitems int! =1',
        'startdate int! =0', 'enddate int! =0', 'visible int! =1', 'groupmode int! =0', 'lang c30! =', 'theme c50! =', 'timecreated int! =0', 'timemodified int! =0', 'enablecompletion int! =0', '-category', '-shortname'],
    'course_sections' => ['course int! =0', 'section int! =0', 'name c255', 'summary text', 'summaryformat int! =0', 'sequence text', 'visible int! =1', 'availability text', 'timemodified int! =0', '~course,section'],
    'course_modules' => ['course int! =0', 'module int! =0', 'instance int! =0', 'section int! =0', 'idnumber c100', 'added int! =0', 'score int! =0', 'indent int! =0', 'visible int! =1', 'groupmode int! =0', 'completion int! =0', 'deletioninprogress int! =0', '-course'],
    'page' => ['course int! =0', 'name c255! =', 'intro text', 'introformat int! =0', 'content text', 'contentformat int! =0', 'display int! =0', 'revision int! =0', 'timemodified int! =0'],
    'forum' => ['course int! =0', 'type c20! =general', 'name c255! =', 'intro text!', 'introformat int! =0', 'timemodified int! =0'],
    'context' => ['contextlevel int! =0', 'instanceid int! =0', 'path c255', 'depth int! =0', 'locked int! =0', '~contextlevel,instanceid'],
    'user' => ['auth c20! =manual', 'confirmed int! =0', 'policyagreed int! =0', 'deleted int! =0', 'suspended int! =0', 'mnethostid int! =0', 'username c100! =', 'password c255! =', 'idnumber c255! =', 'firstname c100! =', 'lastname c100! =',
        'email c100! =', 'emailstop int! =0', 'phone1 c20! =', 'city c120! =', 'country c2! =', 'lang c30! =en', 'timezone c100! =99', 'firstaccess int! =0', 'lastaccess int! =0', 'lastlogin int! =0', 'currentlogin int! =0', 'lastip c45! =',
        'secret c15! =', 'picture int! =0', 'description text', 'maildisplay int! =2', 'timecreated int! =0', 'timemodified int! =0', 'lastnamephonetic c255', 'firstnamephonetic c255', 'middlename c255', 'alternatename c255', '~mnethostid,username'],
    'user_preferences' => ['userid int! =0', 'name c255! =', 'value c1333! =', '~userid,name'],
    'cohort' => ['contextid int!', 'name c254! =', 'idnumber c100', 'description text', 'visible int! =1', 'component c100! =', 'timecreated int!', 'timemodified int!'],
    'cohort_members' => ['cohortid int! =0', 'userid int! =0', 'timeadded int! =0'],
    'enrol' => ['enrol c20! =', 'status int! =0', 'courseid int!', 'sortorder int! =0', 'name c255', 'roleid int! =0', 'password c50', 'timecreated int! =0', 'timemodified int! =0', '-courseid'],
    'user_enrolments' => ['status int! =0', 'enrolid int!', 'userid int!', 'timestart int! =0', 'timeend int! =2147483647', 'modifierid int! =0', 'timecreated int! =0', 'timemodified int! =0', '~enrolid,userid'],
    'role' => ['name c255! =', 'shortname c100! =', 'description text!', 'sortorder int! =0', 'archetype c30! =', '~shortname'],
    'role_assignments' => ['roleid int! =0', 'contextid int! =0', 'userid int! =0', 'timemodified int! =0', 'modifierid int! =0', 'component c100! =', 'itemid int! =0', 'sortorder int! =0', '-userid'],
    'sessions' => ['state int! =0', 'sid c128! =', 'userid int!', 'sessdata text', 'timecreated int!', 'timemodified int!', 'firstip c45', 'lastip c45', '~sid'],
    'logstore_standard_log' => ['eventname c255! =', 'component c100! =', 'action c100! =', 'target c100! =', 'objecttable c50', 'objectid int', 'crud c1! =', 'edulevel int!', 'contextid int!', 'contextlevel int!', 'contextinstanceid int!', 'userid int!', 'courseid int',
        'relateduserid int', 'anonymous int! =0', 'other text', 'timecreated int!', 'origin c10', 'ip c45', 'realuserid int', '-timecreated'],
    'task_scheduled' => ['component c255! =', 'classname c255! =', 'lastruntime int', 'nextruntime int', 'minute c200! =', 'hour c70! =', 'day c90! =', 'month c30! =', 'dayofweek c25! =', 'faildelay int', 'customised int! =0', 'disabled int! =0',
        'timestarted int', 'hostname c255', 'pid int', '~classname'],
    'task_adhoc' => ['component c255! =', 'classname c255! =', 'nextruntime int!', 'faildelay int', 'customdata text', 'userid int', 'timecreated int! =0', 'timestarted int', 'hostname c255', 'pid int', 'attemptsavailable int'],
    'task_log' => ['type int!', 'component c255! =', 'classname c255! =', 'userid int! =0', 'timestart numeric(20,10)!', 'timeend numeric(20,10)!', 'dbreads int!', 'dbwrites int!', 'result int!', 'output text!', 'hostname c255', 'pid int', '-timestart'],
    'lock_db' => ['resourcekey c255! =', 'expires int', 'owner c36', '~resourcekey'],
    'upgrade_log' => ['type int!', 'plugin c100', 'version c100', 'targetversion c100', 'info c255! =', 'details text', 'backtrace text', 'userid int!', 'timemodified int!'],
];
