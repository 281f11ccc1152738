<?php
namespace mod_resource\event;

class course_module_viewed extends \core\event\course_module_viewed {
    protected function init() {
        parent::init();
        $this->data['objecttable'] = 'resource';
    }
}
