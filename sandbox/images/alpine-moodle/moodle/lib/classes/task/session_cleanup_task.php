<?php
namespace core\task;

class session_cleanup_task extends scheduled_task {
    public function get_name() { return 'Cleanup old sessions'; }
    public function execute() {
        global $CFG;
        foreach (glob($CFG->dataroot . '/sessions/sess_*') ?: [] as $file) {
            if (@filemtime($file) < time() - 2 * HOURSECS) @unlink($file);
        }
    }
}
