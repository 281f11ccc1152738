<?php
namespace core\task;

class task_log_cleanup_task extends scheduled_task {
    public function get_name() { return 'Cleanup of old task logs'; }
    public function execute() {
        global $DB;
        $DB->delete_records_select('task_log', 'timestart < ?', [time() - 28 * DAYSECS]);
    }
}
