<?php
// Where visitors are sent when the database is half made, or a person when an upgrade waits.
require(__DIR__ . '/../config.php');

if (empty($CFG->version) || during_initial_install()) {
    page('page-admin-index', 'Installation', '<h1>Installation</h1><p>This site is not completely installed.</p>');
    exit;
}
require_login();
page('page-admin-index', 'Administration', '<h1>Notifications</h1><p>' . (moodle_needs_upgrading() ? 'An upgrade is pending.' : 'Nothing to do.') . '</p>');
