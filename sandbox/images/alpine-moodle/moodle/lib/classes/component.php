<?php
// Where plugins lie, which versions the disk holds, and where classes are.
defined('MOODLE_INTERNAL') || die();

class core_component {
    const TYPES = ['mod' => 'mod', 'auth' => 'auth', 'enrol' => 'enrol', 'block' => 'blocks', 'filter' => 'filter', 'theme' => 'theme', 'local' => 'local',
        'report' => 'report', 'tool' => 'admin/tool', 'logstore' => 'admin/tool/log/store'];

    public static function get_plugin_types() {
        global $CFG;
        return array_map(fn($folder) => "{$CFG->dirroot}/$folder", self::TYPES);
    }
    // Folder by name, of all plugins of a type. A folder without version.php is none.
    public static function get_plugin_list($type) {
        $list = [];
        if (!isset(self::TYPES[$type])) return $list;
        foreach (glob(self::get_plugin_types()[$type] . '/*/version.php') ?: [] as $file) {
            $name = basename(dirname($file));
            if (preg_match('/^[a-z](?:[a-z0-9_](?!__))*[a-z0-9]+$/', $name)) $list[$name] = dirname($file);
        }
        ksort($list);
        return $list;
    }
    public static function get_plugin_directory($type, $name) { return self::get_plugin_list($type)[$name] ?? null; }
    public static function get_component_directory($component) {
        [$type, $name] = self::normalize_component($component);
        global $CFG;
        return $type === 'core' ? "{$CFG->dirroot}/lib" : self::get_plugin_directory($type, $name);
    }
    public static function normalize_component($component) {
        if ($component === 'core' || $component === 'moodle' || $component === '') return ['core', null];
        if (strpos($component, '_') === false) return ['mod', $component];
        return explode('_', $component, 2);
    }
    // What version.php says. A file that PHP cannot read is the caller's to report.
    public static function read_version($folder) {
        global $CFG;
        $plugin = new stdClass();
        $plugin->version = null;
        $module = $plugin;
        include("$folder/version.php");
        return $plugin;
    }
    public static function get_all_plugins() {
        $all = [];
        foreach (array_keys(self::TYPES) as $type) {
            foreach (self::get_plugin_list($type) as $name => $folder) $all["{$type}_$name"] = $folder;
        }
        return $all;
    }
    // Changes whenever a plugin comes, goes or has another version: then an upgrade is pending.
    public static function get_all_versions_hash() {
        global $CFG;
        include("{$CFG->dirroot}/version.php");
        $versions = ['core' => $version];
        foreach (self::get_all_plugins() as $component => $folder) {
            try {
                $versions[$component] = self::read_version($folder)->version;
            } catch (ParseError $e) {
                $versions[$component] = 'broken';
            }
        }
        return sha1(serialize($versions));
    }
    public static function autoload($class) {
        global $CFG;
        $parts = explode('\\', ltrim($class, '\\'));
        if (count($parts) < 2) return;
        $component = array_shift($parts);
        $folder = $component === 'core' ? "{$CFG->dirroot}/lib" : (strpos($component, '_') ? self::get_component_directory($component) : null);
        if (!$folder) return;
        $file = "$folder/classes/" . implode('/', $parts) . '.php';
        if (is_file($file)) require_once($file);
    }
}
