<?php
namespace logstore_xapi\log;

defined('MOODLE_INTERNAL') || die();
require_once(__DIR__ . '/../../src/autoload.php');
require_once($CFG->dirroot . '/admin/tool/log/store/xapi/lib.php');

// Queues events for the tasks, or sends them at once without background mode.
class store extends \stdClass implements \tool_log\log\writer {
    use \tool_log\helper\store;
    use \tool_log\helper\reader;
    use \tool_log\helper\buffered_writer;

    public function __construct(\tool_log\log\manager $manager) { $this->helper_setup($manager); }

    protected function is_event_ignored(\core\event\base $event) {
        if ((!CLI_SCRIPT || PHPUNIT_TEST) && !$this->get_config('logguests', 1) && isguestuser()) return true;
        return !in_array($event->eventname, explode(',', (string)$this->get_config('routes', '')), true);
    }

    // The id of the row of the standard log for the same event, or 0.
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

    // The configuration of the handler: settings of the plugin, and facts about the site.
    protected function get_handler_config() {
        return [
            'log_error' => self::log_at(DEBUG_NORMAL),
            'log_info' => self::log_at(DEBUG_DEVELOPER),
            'transformer' => $this->transformer_settings() + self::site(),
            'loader' => $this->loader_settings(),
        ];
    }

    private static function log_at($level) {
        return function ($message = '') use ($level) { debugging($message, $level); };
    }

    private function transformer_settings() {
        global $CFG;
        return $this->from_settings([
            'account_homepage' => ['account_homepage', $CFG->wwwroot],
            'context_platform' => ['context_platform', 'Moodle'],
            'send_course_and_module_idnumber' => ['sendidnumber', false],
            'send_jisc_data' => ['send_jisc_data', false],
            'send_mbox' => ['mbox', false],
            'send_name' => ['send_name', true],
            'send_response_choices' => ['sendresponsechoices', false],
            'send_short_course_id' => ['shortcourseid', false],
            'send_username' => ['send_username', false],
        ]);
    }

    private function loader_settings() {
        $fixed = ['loader' => 'moodle_curl_lrs', 'lrs_max_batch_size' => $this->get_max_batch_size()];
        return $fixed + $this->from_settings([
            'lrs_endpoint' => ['endpoint', ''],
            'lrs_username' => ['username', ''],
            'lrs_password' => ['password', ''],
            'lrs_resend_failed_batches' => ['resendfailedbatches', false],
        ]);
    }

    // Key of the handler => [setting, default].
    private function from_settings(array $settings) {
        return array_map(fn($setting) => $this->get_config(...$setting), $settings);
    }

    private static function site() {
        global $CFG, $DB;
        $release = \core_plugin_manager::instance()->get_plugin_info('logstore_xapi')->release;
        return [
            'app_url' => $CFG->wwwroot,
            'repo' => new \src\transformer\repos\MoodleRepository($DB),
            'session_id' => sesskey(),
            'source_lang' => 'en',
            'source_name' => 'Moodle',
            'source_url' => 'http://moodle.org',
            'source_version' => $CFG->release,
            'plugin_url' => 'https://github.com/xAPI-vle/moodle-logstore_xapi',
            'plugin_version' => $release,
        ];
    }

    public function is_logging() { return true; }
}
