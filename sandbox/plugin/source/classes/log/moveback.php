<?php
namespace logstore_xapi\log;

defined('MOODLE_INTERNAL') || die();
require_once($CFG->dirroot . '/admin/tool/log/store/xapi/lib.php');

// Puts rows of the failed log, or of the standard log, back into the queue. Without ids: all of them.
class moveback {
    const LOGSTORE_NEW = 'logstore_xapi_log';
    protected $eventids, $historical;

    public function __construct(array $eventids, $historical = false) { [$this->eventids, $this->historical] = [$eventids, $historical]; }

    protected function extract_events() {
        global $DB;
        $table = $this->historical ? XAPI_REPORT_SOURCE_HISTORICAL : XAPI_REPORT_SOURCE_FAILED;
        return $this->eventids ? $DB->get_records_list($table, 'id', $this->eventids) : $DB->get_records($table);
    }
    protected function move_event($event) {
        global $DB;
        $event->type = $this->historical ? XAPI_IMPORT_TYPE_HISTORIC : XAPI_IMPORT_TYPE_FAILED;
        if ($this->historical) {
            $event->logstorestandardlogid = $event->id;
            if (!$DB->record_exists(self::LOGSTORE_NEW, ['logstorestandardlogid' => $event->id])) $DB->insert_record(self::LOGSTORE_NEW, $event);
            $DB->delete_records(XAPI_REPORT_SOURCE_FAILED, ['logstorestandardlogid' => $event->id]);
            return;
        }
        $id = $event->id;
        unset($event->errortype, $event->response);
        $DB->insert_record(self::LOGSTORE_NEW, $event);
        $DB->delete_records(XAPI_REPORT_SOURCE_FAILED, ['id' => $id]);
    }
    public function execute() {
        $events = $this->extract_events();
        foreach ($events as $event) $this->move_event($event);
        return (bool)$events;
    }
}
