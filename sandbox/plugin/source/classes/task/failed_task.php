<?php
namespace logstore_xapi\task;

use logstore_xapi\log\store;

class failed_task extends \core\task\scheduled_task {
    public function get_name() { return get_string('taskfailed', 'logstore_xapi'); }

    public function execute() {
        $store = new store(get_log_manager());
        $events = logstore_xapi_extract_events($store->get_max_batch_size_for_failed(), XAPI_REPORT_SOURCE_LOG, XAPI_IMPORT_TYPE_FAILED);
        $loaded = $store->process_events($events, XAPI_IMPORT_TYPE_FAILED);
        logstore_xapi_store_failed_events($loaded);
        logstore_xapi_record_successful_events($loaded);
        logstore_xapi_save_sent_events($loaded);
        logstore_xapi_delete_processed_events($loaded);
    }
}
