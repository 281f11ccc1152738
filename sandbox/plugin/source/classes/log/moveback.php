<?php
namespace logstore_xapi\log;

defined('MOODLE_INTERNAL') || die();
require_once($CFG->dirroot . '/admin/tool/log/store/xapi/lib.php');

// Queues events again, from the failed log or from the standard log. Without ids it queues all events of the log.
class moveback {
    const LOGSTORE_NEW = 'logstore_xapi_log';
    protected $eventids, $historical;

    public function __construct(array $eventids, $historical = false) {
        $this->eventids = $eventids;
        $this->historical = $historical;
    }

    // Returns whether the log had events to queue.
    public function execute() {
        $events = $this->extract_events();
        array_walk($events, fn($event) => $this->move_event($event));
        return count($events) > 0;
    }

    protected function extract_events() {
        global $DB;
        $log = $this->historical ? \XAPI_REPORT_SOURCE_HISTORICAL : \XAPI_REPORT_SOURCE_FAILED;
        if (count($this->eventids) === 0) return $DB->get_records($log);
        return $DB->get_records_list($log, 'id', $this->eventids);
    }

    protected function move_event($event) {
        $this->historical ? $this->queue_historical($event) : $this->queue_failed($event);
    }

    // The queue has one row for each event of the standard log. An earlier failure of the event is obsolete.
    private function queue_historical($event) {
        global $DB;
        $key = ['logstorestandardlogid' => $event->id];
        $is_queued = $DB->record_exists(self::LOGSTORE_NEW, $key);
        if (!$is_queued) $DB->insert_record(self::LOGSTORE_NEW, self::row($event, $key + ['type' => \XAPI_IMPORT_TYPE_HISTORIC]));
        $DB->delete_records(\XAPI_REPORT_SOURCE_FAILED, $key);
    }

    // The queue has no columns for the cause of the failure.
    private function queue_failed($event) {
        global $DB;
        $row = self::row($event, ['type' => \XAPI_IMPORT_TYPE_FAILED]);
        foreach (['errortype', 'response'] as $column) unset($row->$column);
        $DB->insert_record(self::LOGSTORE_NEW, $row);
        $DB->delete_records(\XAPI_REPORT_SOURCE_FAILED, ['id' => $event->id]);
    }

    private static function row($event, array $changes) { return (object)array_merge((array)$event, $changes); }
}
