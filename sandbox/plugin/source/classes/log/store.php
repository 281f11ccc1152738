<?php
namespace logstore_xapi\log;

defined('MOODLE_INTERNAL') || die();
require_once(__DIR__ . '/../../src/autoload.php');
require_once($CFG->dirroot . '/admin/tool/log/store/xapi/lib.php');

// Keeps events for the tasks, or sends them at once when there is no background mode.
class store extends \stdClass implements \tool_log\log\writer {
    use \tool_log\helper\store;
    use \tool_log\helper\reader;
    use \tool_log\helper\buffered_writer;

    public function __construct(\tool_log\log\manager $manager) { $this->helper_setup($manager); }

    protected function is_event_ignored(\core\event\base $event) {
        if ((!CLI_SCRIPT || PHPUNIT_TEST) && !$this->get_config('logguests', 1) && isguestuser()) return true;
        return !in_array($event->eventname, explode(',', (string)$this->get_config('routes', '')), true);
    }

    // The row of the standard log that was written for the same event, 0 when there is none.
    protected function get_event_id($event) {
        global $DB;
        $where = [];
        $params = [];
        foreach (['eventname', 'component', 'action', 'target', 'objecttable', 'objectid', 'timecreated', 'userid', 'anonymous'] as $name) {
            $nothing = !isset($event->$name) || (in_array($name, ['objecttable', 'objectid']) && empty($event->$name));
            if ($nothing) {
                if (in_array($name, ['objecttable', 'objectid'])) $where[] = "$name IS NULL";
                continue;
            }
            $where[] = "$name = :$name";
            $params[$name] = $event->$name;
        }
        return (int)$DB->get_field_sql('SELECT MAX(id) AS id FROM {logstore_standard_log} WHERE ' . implode(' AND ', $where), $params);
    }

    protected function insert_event_entries($events) {
        global $DB;
        if (!$this->get_config('backgroundmode', false)) {
            $this->process_events($events);
            return;
        }
        $DB->insert_records('logstore_xapi_log', $this->with_ids($events, XAPI_IMPORT_TYPE_LIVE));
    }

    private function with_ids(array $events, $type) {
        $objects = [];
        foreach ($events as $event) {
            $event = (object)$event;
            $event->logstorestandardlogid = $this->get_event_id($event);
            $event->type = $type;
            $objects[] = $event;
        }
        return $objects;
    }

    public function get_max_batch_size() { return $this->get_config('maxbatchsize', 100); }
    public function get_max_batch_size_for_failed() { return $this->get_config('maxbatchsizeforfailed', 100); }
    public function get_max_batch_size_for_historical() { return $this->get_config('maxbatchsizeforhistorical', 100); }

    public function process_events(array $events, $eventtype = XAPI_IMPORT_TYPE_LIVE) {
        $loaded = \src\handler($this->get_handler_config(), $this->with_ids($events, $eventtype));
        logstore_xapi_save_sent_events($loaded);
        return $loaded;
    }

    protected function get_handler_config() {
        global $DB, $CFG;
        $plugin = \core_plugin_manager::instance()->get_plugin_info('logstore_xapi');
        return [
            'log_error' => function ($message = '') { debugging($message, DEBUG_NORMAL); },
            'log_info' => function ($message = '') { debugging($message, DEBUG_DEVELOPER); },
            'transformer' => [
                'source_lang' => 'en',
                'send_mbox' => $this->get_config('mbox', false),
                'send_name' => $this->get_config('send_name', true),
                'send_response_choices' => $this->get_config('sendresponsechoices', false),
                'send_short_course_id' => $this->get_config('shortcourseid', false),
                'send_course_and_module_idnumber' => $this->get_config('sendidnumber', false),
                'send_username' => $this->get_config('send_username', false),
                'account_homepage' => $this->get_config('account_homepage', $CFG->wwwroot),
                'context_platform' => $this->get_config('context_platform', 'Moodle'),
                'send_jisc_data' => $this->get_config('send_jisc_data', false),
                'session_id' => sesskey(),
                'plugin_url' => 'https://github.com/xAPI-vle/moodle-logstore_xapi',
                'plugin_version' => $plugin->release,
                'repo' => new \src\transformer\repos\MoodleRepository($DB),
                'app_url' => $CFG->wwwroot,
                'source_url' => 'http://moodle.org',
                'source_name' => 'Moodle',
                'source_version' => $CFG->release,
            ],
            'loader' => [
                'loader' => 'moodle_curl_lrs',
                'lrs_endpoint' => $this->get_config('endpoint', ''),
                'lrs_username' => $this->get_config('username', ''),
                'lrs_password' => $this->get_config('password', ''),
                'lrs_max_batch_size' => $this->get_max_batch_size(),
                'lrs_resend_failed_batches' => $this->get_config('resendfailedbatches', false),
            ],
        ];
    }

    public function is_logging() { return true; }
}
