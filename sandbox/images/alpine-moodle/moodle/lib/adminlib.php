<?php
// Settings pages of plugins, for their defaults.
defined('MOODLE_INTERNAL') || die();

abstract class admin_setting {
    public $name, $plugin, $visiblename, $description, $defaultsetting;
    public function __construct($name, $visiblename, $description, $defaultsetting) {
        [$this->plugin, $this->name] = strpos($name, '/') ? explode('/', $name, 2) : [null, $name];
        [$this->visiblename, $this->description, $this->defaultsetting] = [$visiblename, $description, $defaultsetting];
    }
    public function default_text() { return is_null($this->defaultsetting) ? null : (string)$this->defaultsetting; }
}
class admin_setting_heading extends admin_setting {
    public function __construct($name, $heading, $information) { parent::__construct($name, $heading, $information, null); }
}
class admin_setting_configtext extends admin_setting {
    public function __construct($name, $visiblename, $description, $defaultsetting, $paramtype = PARAM_RAW, $size = null) { parent::__construct($name, $visiblename, $description, $defaultsetting); }
}
class admin_setting_configpasswordunmask extends admin_setting {}
class admin_setting_configcheckbox extends admin_setting {
    public function __construct($name, $visiblename, $description, $defaultsetting, $yes = '1', $no = '0') { parent::__construct($name, $visiblename, $description, (string)(int)$defaultsetting); }
}
class admin_setting_configmulticheckbox extends admin_setting {
    public function __construct($name, $visiblename, $description, $defaultsetting, $choices) { parent::__construct($name, $visiblename, $description, $defaultsetting); }
    public function default_text() { return implode(',', array_keys(array_filter((array)$this->defaultsetting))); }
}
class admin_externalpage { public function __construct(...$arguments) {} }
class admin_settingpage {
    public $settings = [];
    public function add($setting) { $this->settings[] = $setting; }
}
class admin_root { public function add($parent, $something, $beforesibling = null) {} }

// Search and replace skips configuration, sessions, files, tables that look like logs, and columns that look like hashes.
function db_should_replace($table, $column = '', $additionalskiptables = ''): bool {
    $skipped = ['config', 'config_plugins', 'filter_config', 'sessions', 'events_queue', 'repository_instance_config', 'block_instances', 'files', ...explode(',', str_replace(' ', '', $additionalskiptables))];
    return !in_array($table, $skipped, true) && !array_intersect(['log', 'logs'], explode('_', $table)) && !str_ends_with($column, 'hash');
}
function db_replace($search, $replace, $additionalskiptables = '') {
    global $DB;
    if (!$tables = $DB->get_tables()) return false;
    foreach ($tables as $table) {
        if (!db_should_replace($table, '', $additionalskiptables)) continue;
        $columns = $DB->get_columns($table);
        $DB->set_debug(true);
        foreach ($columns as $column) if (db_should_replace($table, $column->name)) $DB->replace_all_text($table, $column, $search, $replace);
        $DB->set_debug(false);
    }
    \core\event\database_text_field_content_replaced::create(['context' => context_system::instance(), 'other' => ['search' => $search, 'replace' => $replace]])->trigger();
    purge_all_caches();
    return true;
}

// Stores the defaults of settings that have no value yet, and says which.
function admin_apply_default_settings_of($component, $say) {
    global $CFG, $DB, $SITE, $USER;
    $folder = core_component::get_component_directory($component);
    if (!$folder || !is_file("$folder/settings.php")) return;
    $settings = new admin_settingpage();
    $ADMIN = new admin_root();
    $hassiteconfig = true;
    require("$folder/settings.php");
    foreach ($settings->settings as $setting) {
        if ($setting instanceof admin_setting_heading || is_null($setting->default_text())) continue;
        if (get_config($setting->plugin ?? 'core', $setting->name) !== false) continue;
        set_config($setting->name, $setting->default_text(), $setting->plugin);
        if ($say) echo 'New setting: ' . ($setting->plugin ? "{$setting->plugin}/" : '') . "{$setting->name}\n";
    }
}
