<?php
namespace logstore_standard\log;

class store implements \tool_log\log\writer {
    use \tool_log\helper\store, \tool_log\helper\buffered_writer, \tool_log\helper\reader;

    public function __construct(\tool_log\log\manager $manager) {
        $this->helper_setup($manager);
        $this->jsonformat = (bool)$this->get_config('jsonformat', true);
    }
    protected function is_event_ignored(\core\event\base $event) {
        return !CLI_SCRIPT && !$this->get_config('logguests', 1) && isguestuser();
    }
    protected function insert_event_entries($events) {
        global $DB;
        $DB->insert_records('logstore_standard_log', $events);
    }
    public function is_logging() { return true; }
}
