<?php
// The redirect target for visitors when the database is incomplete, and for administrators when an upgrade is pending.
require(__DIR__ . '/../config.php');

if (empty($CFG->version) || during_initial_install()) {
    page('page-admin-index', 'Installation', '<h1>Installation</h1><p>This site is not completely installed.</p>');
    exit;
}
require_login();
page('page-admin-index', 'Administration', '<h1>Notifications</h1><p>' . (moodle_needs_upgrading() ? 'An upgrade is pending.' : 'Nothing to do.') . '</p>');
