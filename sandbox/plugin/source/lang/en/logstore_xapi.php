<?php
defined('MOODLE_INTERNAL') || die();

$string['pluginname'] = 'Logstore xAPI';
$string['pluginname_desc'] = 'Sends statements of what learners do to a Learning Record Store.';
$string['taskemit'] = 'Emit records to LRS';
$string['taskfailed'] = 'Emit failed records to LRS';
$string['taskhistorical'] = 'Emit historical records to LRS';
$string['tasksendfailednotifications'] = 'Send failed notifications';
$string['failed_events'] = 'event(s) have failed to send to the LRS.';
$string['successful_events'] = 'event(s) have been successfully processed.';
$string['insendfailednotificationstask'] = 'In the failed notifications task';
$string['notificationsnotenabled'] = 'Notifications are not enabled';
$string['notificationtriggerlimitnotreached'] = 'The number of errors that triggers a notification is not reached';
