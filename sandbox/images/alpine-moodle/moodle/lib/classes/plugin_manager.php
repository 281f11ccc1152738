<?php
// What is known about a plugin: on disk and in the database.
defined('MOODLE_INTERNAL') || die();

class core_plugininfo {
    public $type, $name, $component, $rootdir, $versiondisk, $versiondb, $versionrequires, $pluginsupported, $release, $dependencies = [];
    public function is_enabled() {
        if ($this->type === 'logstore') return in_array($this->component, explode(',', (string)get_config('tool_log', 'enabled_stores')), true);
        return null;
    }
    public function is_installed_and_upgraded() { return $this->versiondb !== null && $this->versiondb == $this->versiondisk; }
    public function get_status() {
        if (is_null($this->versiondb) && is_null($this->versiondisk)) return core_plugin_manager::PLUGIN_STATUS_NODB;
        if (is_null($this->versiondb)) return core_plugin_manager::PLUGIN_STATUS_NEW;
        if (is_null($this->versiondisk)) return core_plugin_manager::PLUGIN_STATUS_MISSING;
        if ((float)$this->versiondb === (float)$this->versiondisk) return core_plugin_manager::PLUGIN_STATUS_UPTODATE;
        return $this->versiondb < $this->versiondisk ? core_plugin_manager::PLUGIN_STATUS_UPGRADE : core_plugin_manager::PLUGIN_STATUS_DOWNGRADE;
    }
    // Made for this Moodle: not for a later one, and not only for other branches.
    public function problems($version, $branch) {
        $problems = [];
        if (!empty($this->versionrequires) && $this->versionrequires > $version) $problems[] = "requires Moodle {$this->versionrequires}";
        if (!empty($this->pluginsupported) && ($branch < $this->pluginsupported[0] || $branch > $this->pluginsupported[1])) $problems[] = 'supports ' . implode(' to ', $this->pluginsupported);
        foreach ($this->dependencies as $other => $needed) {
            if (!core_component::get_component_directory($other)) $problems[] = "requires $other";
        }
        return $problems;
    }
}

class core_plugin_manager {
    const PLUGIN_STATUS_NODB = 'nodb';
    const PLUGIN_STATUS_UPTODATE = 'uptodate';
    const PLUGIN_STATUS_UPGRADE = 'upgrade';
    const PLUGIN_STATUS_DELETE = 'delete';
    const PLUGIN_STATUS_DOWNGRADE = 'downgrade';
    const PLUGIN_STATUS_MISSING = 'missing';
    const PLUGIN_STATUS_NEW = 'new';
    private static $instance;
    public static function instance() { return self::$instance ??= new self(); }
    public static function reset_caches($phpunitreset = false) { self::$instance = null; }

    public function get_plugin_info($component) {
        [$type, $name] = core_component::normalize_component($component);
        $folder = core_component::get_plugin_directory($type, (string)$name);
        $installed = get_config($component, 'version');
        if (!$folder && $installed === false) return null;
        $info = new core_plugininfo();
        [$info->type, $info->name, $info->component] = [$type, $name, "{$type}_$name"];
        $info->versiondb = $installed === false ? null : $installed;
        if ($folder) {
            $disk = core_component::read_version($folder);
            $info->rootdir = $folder;
            $info->versiondisk = $disk->version;
            $info->versionrequires = $disk->requires ?? null;
            $info->pluginsupported = $disk->supported ?? null;
            $info->release = $disk->release ?? null;
            $info->dependencies = $disk->dependencies ?? [];
        }
        return $info;
    }
    public function get_plugins_of_type($type) {
        $list = [];
        foreach (array_keys(core_component::get_plugin_list($type)) as $name) $list[$name] = $this->get_plugin_info("{$type}_$name");
        return $list;
    }
}
