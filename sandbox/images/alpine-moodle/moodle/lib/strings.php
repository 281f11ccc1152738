<?php
// Texts of core that scripts and tests look for.
defined('MOODLE_INTERNAL') || die();

$string = [
    'upgraderunning' => 'Site is being upgraded, please retry later.',
    'dbconnectionfailed' => 'Error: Database connection failed',
    'dmlreadexception' => 'Error reading from database',
    'dmlwriteexception' => 'Error writing to database',
    'dmltransactionexception' => 'Database transaction error',
    'ddlexecuteerror' => 'DDL sql execution error',
    'ddlxmlfileerror' => 'XML database file errors found',
    'invalidrecord' => 'Can\'t find data record in database table {$a}.',
    'invalidrecordunknown' => 'Can\'t find data record in database.',
    'multiplerecordsfound' => 'Multiple records found, only one record expected.',
    'missingkeyinsql' => 'Error: missing param "{$a}" in query',
    'invalidqueryparam' => 'ERROR: Incorrect number of query parameters. Expected {$a->expected}, got {$a->actual}.',
    'dbdriverproblem' => 'Error: database driver problem detected: {$a}',
    'codingerror' => 'Coding error detected, it must be fixed by a programmer: {$a}',
    'missingparam' => 'A required parameter ({$a}) was missing',
    'requireloginerror' => 'Course or activity not accessible.',
    'invalidcourseid' => 'You are trying to use an invalid course ID',
    'invalidcoursemodule' => 'Invalid course module ID',
    'reverseproxyabused' => 'Reverse proxy enabled so the server cannot be accessed directly.',
    'wwwrootmismatch' => 'Incorrect access detected, this server may be accessed only through "{$a}" address, sorry.<br />Please notify server administrator.',
    'unknowncategory' => 'Category not known!',
    'locktimeout' => 'The operation timed out while waiting for a lock.',
    'invalidlogin' => 'Invalid login, please try again',
    'cliunknowoption' => "Unrecognised options:\n  {\$a}\nPlease use --help option.",
    'cliupgradenoneed' => 'No upgrade needed for the installed version {$a}. Thanks for coming anyway!',
    'any' => 'Any',
    'pluginname' => 'Plugin',
];
