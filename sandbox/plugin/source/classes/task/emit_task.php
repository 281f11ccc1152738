<?php
namespace logstore_xapi\task;

use logstore_xapi\log\store;

class emit_task extends \core\task\scheduled_task {
    public function get_name() { return get_string('taskemit', 'logstore_xapi'); }

    public function execute() {
        $store = new store(get_log_manager());
        $events = logstore_xapi_extract_events($store->get_max_batch_size(), XAPI_REPORT_SOURCE_LOG, XAPI_IMPORT_TYPE_LIVE);
        $loaded = $store->process_events($events, XAPI_IMPORT_TYPE_LIVE);
        logstore_xapi_store_failed_events($loaded);
        logstore_xapi_record_successful_events($loaded);
        logstore_xapi_save_sent_events($loaded);
        logstore_xapi_delete_processed_events($loaded);
    }
}
