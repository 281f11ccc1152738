<?php
defined('MOODLE_INTERNAL') || die();
require_once($CFG->dirroot . '/admin/tool/log/store/xapi/lib.php');

if ($hassiteconfig) {
    $texts = ['endpoint' => 'http://example.com/endpoint/location/', 'username' => 'username', 'password' => 'password', 'maxbatchsize' => 30, 'maxbatchsizeforfailed' => 15, 'maxbatchsizeforhistorical' => 30,
        'account_homepage' => $CFG->wwwroot, 'context_platform' => 'Moodle', 'errornotificationtrigger' => 10, 'send_additional_email_addresses' => ''];
    $boxes = ['backgroundmode' => 1, 'resendfailedbatches' => 0, 'mbox' => 0, 'send_name' => 1, 'shortcourseid' => 0, 'sendidnumber' => 0, 'send_username' => 0, 'send_jisc_data' => 0, 'sendresponsechoices' => 0, 'enablesendingnotifications' => 1, 'logguests' => 0];
    foreach ($texts as $name => $default) $settings->add(new admin_setting_configtext("logstore_xapi/$name", $name, '', $default));
    foreach ($boxes as $name => $default) $settings->add(new admin_setting_configcheckbox("logstore_xapi/$name", $name, '', $default));
    $routes = logstore_xapi_get_event_names_array();
    $settings->add(new admin_setting_configmulticheckbox('logstore_xapi/routes', 'routes', '', $routes, $routes));
}
