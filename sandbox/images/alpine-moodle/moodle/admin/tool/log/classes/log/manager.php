<?php
namespace tool_log\log;

// Passes each event to the enabled stores, in the order of the setting.
class manager {
    private $stores = null, $readers = [];

    private function init() {
        if (!is_null($this->stores)) return;
        $this->stores = [];
        foreach (self::enabled() as $component) {
            $class = "\\$component\\log\\store";
            if (class_exists($class)) $this->stores[$component] = new $class($this);
        }
    }
    private static function enabled() { return array_filter(explode(',', (string)get_config('tool_log', 'enabled_stores'))); }
    public static function get_store_plugins() { return \core_component::get_plugin_list('logstore'); }
    public function get_readers($interface = null) {
        $this->init();
        return $interface ? array_filter($this->stores, fn($store) => $store instanceof $interface) : $this->stores;
    }
    public function process(\core\event\base $event) {
        $this->init();
        foreach ($this->stores as $store) {
            if ($store instanceof writer) $store->write($event, $this);
        }
    }
    public function dispose() {
        foreach ($this->stores ?? [] as $store) $store->dispose();
        $this->stores = null;
    }
}
