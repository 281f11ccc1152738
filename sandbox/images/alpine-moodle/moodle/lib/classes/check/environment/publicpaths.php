<?php
namespace core\check\environment;

// The image's start script edits this file, so it is here.
class publicpaths {
    public static function root() { global $CFG; return $CFG->wwwroot; }
}
