<?php
namespace tool_log\helper;

trait reader {
    public function get_name() { return get_string('pluginname', $this->component); }
    public function get_description() { return get_string('pluginname_desc', $this->component); }
}
