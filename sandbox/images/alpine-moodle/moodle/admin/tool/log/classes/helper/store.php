<?php
namespace tool_log\helper;

trait store {
    protected $manager, $component, $store;
    protected function helper_setup(\tool_log\log\manager $manager) {
        $this->manager = $manager;
        [$this->component] = explode('\\', static::class);
        $this->store = substr($this->component, strlen('logstore_'));
    }
    protected function get_config($name, $default = null) {
        $value = get_config($this->component, $name);
        return $value === false ? $default : $value;
    }
}
