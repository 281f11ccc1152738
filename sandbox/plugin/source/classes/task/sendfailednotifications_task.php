<?php
namespace logstore_xapi\task;

// The stand-in sends no mail. It prints the text of the real one without recipients.
class sendfailednotifications_task extends \core\task\scheduled_task {
    public function get_name() { return get_string('tasksendfailednotifications', 'logstore_xapi'); }
    public function execute() {
        echo get_string('insendfailednotificationstask', 'logstore_xapi') . PHP_EOL;
        $enabled = get_config('logstore_xapi', 'enablesendingnotifications');
        echo get_string($enabled ? 'notificationtriggerlimitnotreached' : 'notificationsnotenabled', 'logstore_xapi') . PHP_EOL;
    }
}
